-- Stores a batch once, under the writers' lock (rollup.py). Rows of hours that are closed already are logged as late.
-- Ordered, so that two writers can't deadlock and the first of two equal keys wins.
WITH inserted AS (
    INSERT INTO tds_new_leituradispositivo (device_id, metric_id, time, value)
    SELECT device_id, metric_id, time, value
    FROM unnest(%(devices)b::int8[], %(metrics)b::int8[], %(times)b::timestamptz[], %(values)b::float8[])
        WITH ORDINALITY AS batch (device_id, metric_id, time, value, arrival)
    -- None at all, and no lock on the day that is about to be dropped: who drops it would wait for us, and we for it.
    WHERE %(oldest)b::timestamptz >= COALESCE((SELECT max(since) FROM tds_new_keptsince), '-infinity')
    ORDER BY device_id, metric_id, time, arrival
    ON CONFLICT DO NOTHING
    RETURNING device_id, time
), late AS (
    INSERT INTO tds_new_horasuja (device_id, hour)
    SELECT DISTINCT device_id, date_trunc('hour', time, 'UTC') FROM inserted
    WHERE time < (SELECT closing_before FROM tds_new_estadorollup)
)
SELECT count(*), CASE WHEN count(*) < %(rows)b::int8 THEN array_agg(device_id) END,
       (SELECT max(since) FROM tds_new_keptsince)
FROM inserted
