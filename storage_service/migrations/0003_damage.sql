-- When a scrub found other bytes in the blob than were uploaded. NULL for whole and for repaired blobs.
ALTER TABLE images ADD COLUMN damaged_at TIMESTAMPTZ;

-- Whether the purge is for such an image, which still exists, and not for a deleted one.
ALTER TABLE purges ADD COLUMN damaged BOOLEAN NOT NULL DEFAULT FALSE;
