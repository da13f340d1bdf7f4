-- Frames of animated PNG and AVIF images that the service does not show. Images that were stored before count as stills.
ALTER TABLE images ADD COLUMN unread_frames INTEGER NOT NULL DEFAULT 0;
