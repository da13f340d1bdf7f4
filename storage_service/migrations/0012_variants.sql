-- Stored variants of contents, by the key of their plan. `about` is the chain. Times are seconds since 1970.
CREATE TABLE variants (
    sha256  TEXT   NOT NULL,
    name    TEXT   NOT NULL,
    version BIGINT NOT NULL,
    bytes   BIGINT NOT NULL,
    digest  TEXT   NOT NULL,
    about   TEXT   NOT NULL,
    used_at BIGINT NOT NULL,
    PRIMARY KEY (sha256, name)
);
CREATE INDEX variants_used ON variants (used_at);
CREATE INDEX variants_by_name ON variants (name);
CREATE INDEX variants_about ON variants (about);
-- Chains that are rendered before anyone asks. `place` is the last content that got a job, while jobs for
-- earlier images are being added. It is NULL when all have theirs.
CREATE TABLE precomputed (
    chain     TEXT   PRIMARY KEY,
    added_at  BIGINT NOT NULL,
    automatic BIGINT NOT NULL,
    place     TEXT,
    leaving   BIGINT NOT NULL,
    version   BIGINT NOT NULL
);
-- Who does what only one process should do, until when (seconds since 1970).
CREATE TABLE leases (
    name   TEXT   PRIMARY KEY,
    holder TEXT   NOT NULL,
    until  BIGINT NOT NULL
);
