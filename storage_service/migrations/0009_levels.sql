-- Levels of contents: smaller copies, from which renders start. Times are seconds since 1970.
CREATE TABLE levels (
    sha256  TEXT   NOT NULL,
    side    BIGINT NOT NULL,
    version BIGINT NOT NULL,
    bytes   BIGINT NOT NULL,
    digest  TEXT   NOT NULL,
    header  TEXT   NOT NULL,
    used_at BIGINT NOT NULL,
    PRIMARY KEY (sha256, side)
);
CREATE INDEX levels_used ON levels (used_at);
