-- Work for which nobody waits: at most one job of each kind for each content. Times are milliseconds since 1970.
CREATE TABLE jobs (
    kind      TEXT   NOT NULL,
    sha256    TEXT   NOT NULL,
    added_at  BIGINT NOT NULL,
    due_at    BIGINT NOT NULL,
    attempts  BIGINT NOT NULL,
    failed_at BIGINT,
    reason    TEXT   NOT NULL,
    PRIMARY KEY (kind, sha256)
);
CREATE INDEX jobs_due ON jobs (due_at) WHERE failed_at IS NULL;
CREATE INDEX jobs_failed ON jobs (failed_at, sha256) WHERE failed_at IS NOT NULL;
