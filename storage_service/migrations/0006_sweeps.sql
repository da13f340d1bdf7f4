-- When the next sweep is due, in a single row. Whoever moves the time ahead does the sweep.
CREATE TABLE sweeps (
    name   TEXT        PRIMARY KEY,
    due_at TIMESTAMPTZ NOT NULL
);
