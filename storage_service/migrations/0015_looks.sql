-- What contents look like (imaging/looks.py). The bands are the four parts of the perceptual hash, by which similar
-- ones are found.
CREATE TABLE looks (
    sha256    TEXT    PRIMARY KEY,
    colour    BIGINT,
    colours   BIGINT  NOT NULL,
    thumbhash TEXT    NOT NULL,
    phash     BIGINT,
    band_0    BIGINT,
    band_1    BIGINT,
    band_2    BIGINT,
    band_3    BIGINT
);
CREATE INDEX looks_by_band_0 ON looks (band_0);
CREATE INDEX looks_by_band_1 ON looks (band_1);
CREATE INDEX looks_by_band_2 ON looks (band_2);
CREATE INDEX looks_by_band_3 ON looks (band_3);
