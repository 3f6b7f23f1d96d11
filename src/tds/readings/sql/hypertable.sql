-- Readings, TimescaleDB store: the native store's tables under the same names and with the same columns.
CREATE TABLE tds_new_leituradispositivo (
    device_id bigint NOT NULL,
    metric_id bigint NOT NULL,
    time timestamptz NOT NULL,
    value double precision NOT NULL,
    PRIMARY KEY (device_id, metric_id, time)
);
SELECT create_hypertable('tds_new_leituradispositivo', by_range('time', INTERVAL '1 day'), create_default_indexes => false);
-- As in the native store; compressed chunks have their own.
CREATE INDEX tds_new_leituradispositivo_time ON tds_new_leituradispositivo USING brin (time);
ALTER TABLE tds_new_leituradispositivo SET (
    timescaledb.compress,
    timescaledb.compress_segmentby = 'device_id, metric_id',
    timescaledb.compress_orderby = 'time'
);
