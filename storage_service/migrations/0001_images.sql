-- Runs on PostgreSQL and on SQLite (which keeps the times as ISO 8601 text in UTC).
CREATE TABLE images (
    image_id     TEXT        PRIMARY KEY,
    format       TEXT        NOT NULL,
    width        INTEGER     NOT NULL,
    height       INTEGER     NOT NULL,
    frames       INTEGER     NOT NULL,
    orientation  INTEGER     NOT NULL,
    colour_space TEXT        NOT NULL,
    alpha        BOOLEAN     NOT NULL,
    progressive  BOOLEAN     NOT NULL,
    bytes        BIGINT      NOT NULL,
    sha256       TEXT        NOT NULL,
    visibility   TEXT        NOT NULL,
    created_at   TIMESTAMPTZ NOT NULL,
    deleted_at   TIMESTAMPTZ
);

CREATE INDEX images_newest_first ON images (created_at DESC, image_id DESC) WHERE deleted_at IS NULL;

CREATE INDEX images_by_content ON images (sha256) WHERE deleted_at IS NULL;
