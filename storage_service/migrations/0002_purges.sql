-- Deletions that the caches have yet to confirm: written together with images.deleted_at.
CREATE TABLE purges (
    image_id   TEXT        PRIMARY KEY,
    sha256     TEXT        NOT NULL,
    deleted_at TIMESTAMPTZ NOT NULL,
    round      INTEGER     NOT NULL,
    due_at     TIMESTAMPTZ NOT NULL
);

CREATE INDEX purges_due ON purges (due_at);
