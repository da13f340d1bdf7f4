-- Keys of clients. The secret of a key is not here: only its SHA-256.
CREATE TABLE keys (
    key_id     TEXT        PRIMARY KEY,
    digest     TEXT        NOT NULL,
    name       TEXT        NOT NULL,
    scopes     TEXT        NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ,
    revoked_at TIMESTAMPTZ,
    used_at    TIMESTAMPTZ
);

-- Spaces of tenants. A key without a space may use all of them.
ALTER TABLE images ADD COLUMN space TEXT NOT NULL DEFAULT 'default';
ALTER TABLE keys ADD COLUMN space TEXT;

CREATE INDEX images_of_space ON images (space, created_at DESC, image_id DESC) WHERE deleted_at IS NULL;

-- What spaces may have (NULL: any number), and what they have. A space without a row is not counted.
CREATE TABLE spaces (
    space       TEXT    PRIMARY KEY,
    max_bytes   BIGINT,
    max_images  BIGINT,
    max_uploads BIGINT,
    bytes       BIGINT  NOT NULL DEFAULT 0,
    images      BIGINT  NOT NULL DEFAULT 0,
    minute      BIGINT  NOT NULL DEFAULT 0,
    uploads     BIGINT  NOT NULL DEFAULT 0
);

-- Upload tokens, until they expire. The secret of a token is not here: only its SHA-256.
CREATE TABLE upload_tokens (
    token_id   TEXT        PRIMARY KEY,
    digest     TEXT        NOT NULL,
    key_id     TEXT        NOT NULL,
    space      TEXT        NOT NULL,
    visibility TEXT        NOT NULL,
    formats    TEXT        NOT NULL,
    max_bytes  BIGINT      NOT NULL,
    uses_left  BIGINT      NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX upload_tokens_expire ON upload_tokens (expires_at);

-- Who changed what. The oldest rows are removed.
CREATE TABLE audit (
    entry_id   TEXT        PRIMARY KEY,
    at         TIMESTAMPTZ NOT NULL,
    key_id     TEXT        NOT NULL,
    action     TEXT        NOT NULL,
    subject    TEXT        NOT NULL,
    space      TEXT        NOT NULL,
    request_id TEXT        NOT NULL
);

CREATE INDEX audit_newest_first ON audit (at DESC, entry_id DESC);
