-- What the cost of a render depends on besides the size. Rows from before have no more than four bands, nearly always.
ALTER TABLE images ADD COLUMN bands INTEGER NOT NULL DEFAULT 4;
ALTER TABLE images ADD COLUMN sample_bytes INTEGER NOT NULL DEFAULT 1;
ALTER TABLE images ADD COLUMN held_bytes BIGINT NOT NULL DEFAULT 0;
UPDATE images SET sample_bytes = 2 WHERE colour_space IN ('rgb16', 'grey16');
