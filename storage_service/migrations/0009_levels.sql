-- Levels of contents: smaller copies, from which renders start. Times are seconds since 1970.
CREATE TABLE levels (
    sha256  TEXT   NOT NULL,
    name    TEXT   NOT NULL,
    version BIGINT NOT NULL,
    bytes   BIGINT NOT NULL,
    digest  TEXT   NOT NULL,
    about   TEXT   NOT NULL,
    used_at BIGINT NOT NULL,
    PRIMARY KEY (sha256, name)
);
CREATE INDEX levels_used ON levels (used_at);
