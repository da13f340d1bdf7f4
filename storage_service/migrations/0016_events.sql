-- Who is told about changes of images. Times are milliseconds since 1970. Secrets are not here: they are derived from
-- the ID and the version (receivers.py). No events: all.
CREATE TABLE webhooks (
    webhook_id     TEXT   PRIMARY KEY,
    url            TEXT   NOT NULL,
    events         TEXT   NOT NULL,
    space          TEXT,
    created_at     BIGINT NOT NULL,
    version        BIGINT NOT NULL,
    previous_until BIGINT NOT NULL,
    failures       BIGINT NOT NULL,
    failing_since  BIGINT,
    paused_until   BIGINT NOT NULL,
    disabled_at    BIGINT,
    reason         TEXT   NOT NULL
);

-- The outbox of events: one row for each webhook, committed together with the change, until the receiver has confirmed.
CREATE TABLE deliveries (
    webhook_id TEXT   NOT NULL,
    event_id   TEXT   NOT NULL,
    type       TEXT   NOT NULL,
    body       TEXT   NOT NULL,
    added_at   BIGINT NOT NULL,
    due_at     BIGINT NOT NULL,
    give_up_at BIGINT NOT NULL,
    attempts   BIGINT NOT NULL,
    failed_at  BIGINT,
    status     BIGINT NOT NULL,
    reason     TEXT   NOT NULL,
    answer     TEXT   NOT NULL,
    PRIMARY KEY (webhook_id, event_id)
);
CREATE INDEX deliveries_due ON deliveries (webhook_id, due_at) WHERE failed_at IS NULL;
CREATE INDEX deliveries_oldest ON deliveries (added_at) WHERE failed_at IS NULL;
CREATE INDEX deliveries_failed ON deliveries (webhook_id, failed_at) WHERE failed_at IS NOT NULL;
