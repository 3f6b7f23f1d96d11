-- Readings, native store: one partition a UTC day, made ahead and dropped whole by retention.
-- The primary key serves both the refusal of duplicates and the charts: about 100 bytes a row with its index.
CREATE TABLE tds_new_leituradispositivo (
    device_id bigint NOT NULL,
    metric_id bigint NOT NULL,
    time timestamptz NOT NULL,
    value double precision NOT NULL,
    PRIMARY KEY (device_id, metric_id, time)
) PARTITION BY RANGE (time);
-- Rows arrive nearly in time's order, so a few bytes a megabyte find an hour's rows when it is aggregated.
CREATE INDEX tds_new_leituradispositivo_time ON tds_new_leituradispositivo USING brin (time);

-- One row an hour of a device and metric. `increase` is what a counter gained inside the hour.
CREATE TABLE tds_new_leiturahora (
    device_id bigint NOT NULL,
    metric_id bigint NOT NULL,
    hour timestamptz NOT NULL,
    n integer NOT NULL,
    minimum double precision NOT NULL,
    maximum double precision NOT NULL,
    total double precision NOT NULL,
    first double precision NOT NULL,
    last double precision NOT NULL,
    last_time timestamptz NOT NULL,
    increase double precision NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (device_id, metric_id, hour)
);
CREATE INDEX tds_new_leiturahora_hour ON tds_new_leiturahora (hour);

-- A log, not a set: writers only append, so they never wait for the worker that empties it.
CREATE TABLE tds_new_horasuja (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_id bigint NOT NULL,
    hour timestamptz NOT NULL
);
CREATE INDEX tds_new_horasuja_device ON tds_new_horasuja (device_id, hour);

-- One row. `closing_before` moves only while no writer is in a transaction (the writers' lock in rollup.py).
CREATE TABLE tds_new_estadorollup (
    id smallint PRIMARY KEY CHECK (id = 1),
    closing_before timestamptz NOT NULL,
    complete_before timestamptz NOT NULL CHECK (complete_before <= closing_before)
);
INSERT INTO tds_new_estadorollup VALUES (1, '1970-01-01Z', '1970-01-01Z');
