-- Which access secrets were used, by fingerprints: a restore without the secret would go unnoticed. Times are
-- milliseconds since 1970.
CREATE TABLE access_secrets (
    fingerprint   TEXT   PRIMARY KEY,
    first_used_at BIGINT NOT NULL,
    used_at       BIGINT NOT NULL
);
