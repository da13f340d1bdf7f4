-- URLs that people choose, and what they have shown. `changing_until` is in microseconds since 1970: until then, no
-- cache may keep what the name shows.
CREATE TABLE names (
    name           TEXT        PRIMARY KEY,
    space          TEXT        NOT NULL,
    image_id       TEXT        NOT NULL,
    version        BIGINT      NOT NULL,
    changed_at     TIMESTAMPTZ NOT NULL,
    changing_until BIGINT      NOT NULL DEFAULT 0
);
CREATE INDEX names_of_image ON names (image_id);

CREATE TABLE name_versions (
    name       TEXT        NOT NULL,
    version    BIGINT      NOT NULL,
    image_id   TEXT        NOT NULL,
    changed_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (name, version)
);
