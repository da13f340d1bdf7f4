-- The gain maps of Ultra HDR images. Images that were stored before count as if they had none.
ALTER TABLE images ADD COLUMN gain_map_pixels BIGINT NOT NULL DEFAULT 0;
