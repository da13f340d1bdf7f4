-- What people say about images. `tags` is a JSON list and `metadata` a JSON object. The focal point is in shares of
-- the width and the height, upright.
ALTER TABLE images ADD COLUMN original_filename TEXT NOT NULL DEFAULT '';
ALTER TABLE images ADD COLUMN title TEXT NOT NULL DEFAULT '';
ALTER TABLE images ADD COLUMN alt TEXT NOT NULL DEFAULT '';
ALTER TABLE images ADD COLUMN tags TEXT NOT NULL DEFAULT '[]';
ALTER TABLE images ADD COLUMN metadata TEXT NOT NULL DEFAULT '{}';
ALTER TABLE images ADD COLUMN focus_x DOUBLE PRECISION;
ALTER TABLE images ADD COLUMN focus_y DOUBLE PRECISION;
ALTER TABLE images ADD COLUMN expires_at TIMESTAMPTZ;

CREATE INDEX images_expiring ON images (expires_at) WHERE expires_at IS NOT NULL AND deleted_at IS NULL;

-- Words and tags by which images are found. Bytes and not text: PostgreSQL orders text by the rules of a language,
-- and then finds no beginnings of words.
CREATE TABLE terms (
    term       BYTEA       NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    image_id   TEXT        NOT NULL,
    space      TEXT        NOT NULL,
    PRIMARY KEY (term, created_at, image_id)
);
CREATE INDEX terms_of_space ON terms (space, term, created_at, image_id);
CREATE INDEX terms_of_image ON terms (image_id, term);

-- Which image an upload with an Idempotency-Key became, for a day. `made_at` is in seconds since 1970.
CREATE TABLE repeats (
    name     TEXT   PRIMARY KEY,
    image_id TEXT   NOT NULL,
    made_at  BIGINT NOT NULL
);
CREATE INDEX repeats_by_age ON repeats (made_at);
