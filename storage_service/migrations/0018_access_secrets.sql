-- Which access secret is in use, by a fingerprint: a restore without it would go unnoticed. `replaced_at` is when it took
-- the place of another one, in milliseconds since 1970, and NULL for the first one. There is one row.
CREATE TABLE access_secrets (
    place       BIGINT PRIMARY KEY,
    fingerprint TEXT   NOT NULL,
    replaced_at BIGINT
);
