-- Writes the hours of a set of rows into the rollup, over what stood there.
INSERT INTO tds_new_leiturahora
    (device_id, metric_id, hour, n, minimum, maximum, total, first, last, last_time, increase, falls, fell_from)
SELECT device_id, metric_id, hour, n, minimum, maximum, total, first, last, last_time, increase, falls, fell_from
FROM ({aggregate}) AS hours
ON CONFLICT (device_id, metric_id, hour) DO UPDATE SET
    n = EXCLUDED.n, minimum = EXCLUDED.minimum, maximum = EXCLUDED.maximum, total = EXCLUDED.total,
    first = EXCLUDED.first, last = EXCLUDED.last, last_time = EXCLUDED.last_time,
    increase = EXCLUDED.increase, falls = EXCLUDED.falls, fell_from = EXCLUDED.fell_from
