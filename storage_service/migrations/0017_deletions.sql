-- Deletions of all images that a search finds. `filters` is JSON. A deletion goes on behind the image at `place`.
-- `turn` is when it is its turn again, in milliseconds since 1970.
CREATE TABLE deletions (
    deletion_id TEXT        PRIMARY KEY,
    key_id      TEXT        NOT NULL,
    space       TEXT,
    filters     TEXT        NOT NULL,
    added_at    TIMESTAMPTZ NOT NULL,
    deleted     BIGINT      NOT NULL DEFAULT 0,
    failed      BIGINT      NOT NULL DEFAULT 0,
    place_at    TIMESTAMPTZ,
    place_id    TEXT        NOT NULL DEFAULT '',
    ended_at    TIMESTAMPTZ,
    stopped     BOOLEAN     NOT NULL DEFAULT FALSE,
    turn        BIGINT      NOT NULL DEFAULT 0
);
CREATE INDEX deletions_newest_first ON deletions (added_at DESC, deletion_id DESC);
