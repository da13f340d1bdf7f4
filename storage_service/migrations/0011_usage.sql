-- What viewers requested, by hour (hours since 1970), without anything about them.
CREATE TABLE usage_chains (
    hour         BIGINT           NOT NULL,
    chain        TEXT             NOT NULL,
    outcome      TEXT             NOT NULL,
    requests     BIGINT           NOT NULL,
    milliseconds DOUBLE PRECISION NOT NULL,
    bytes        BIGINT           NOT NULL,
    PRIMARY KEY (hour, chain, outcome)
);
CREATE TABLE usage_images (
    hour     BIGINT NOT NULL,
    image_id TEXT   NOT NULL,
    requests BIGINT NOT NULL,
    PRIMARY KEY (hour, image_id)
);
-- Batches that were added lately, so that one that is sent again counts once.
CREATE TABLE usage_batches (
    id   TEXT   PRIMARY KEY,
    hour BIGINT NOT NULL
);
CREATE INDEX usage_images_by_id ON usage_images (image_id);
