-- URLs that people choose, and what they have shown. Names are bytes, which every database orders alike. `changing_until` is in microseconds since 1970: until then, no
-- cache may keep what the name shows.
CREATE TABLE names (
    name           BYTEA       PRIMARY KEY,
    space          TEXT        NOT NULL,
    image_id       TEXT        NOT NULL,
    version        BIGINT      NOT NULL,
    changed_at     TIMESTAMPTZ NOT NULL,
    changing_until BIGINT      NOT NULL DEFAULT 0
);
CREATE INDEX names_of_space ON names (space, name);

CREATE TABLE name_versions (
    name       BYTEA       NOT NULL,
    version    BIGINT      NOT NULL,
    image_id   TEXT        NOT NULL,
    changed_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (name, version)
);
