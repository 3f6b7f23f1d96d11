-- Stores a batch whose rows are all new, under the writers' lock (rollup.py); one that is there raises unique_violation.
-- Else as insert.sql.
WITH late AS (
    INSERT INTO tds_new_horasuja (device_id, hour)
    SELECT DISTINCT device_id, date_trunc('hour', time, 'UTC')
    FROM unnest(%(devices)b::int8[], %(times)b::timestamptz[]) AS batch (device_id, time)
    WHERE time < (SELECT closing_before FROM tds_new_estadorollup)
)
INSERT INTO tds_new_leituradispositivo (device_id, metric_id, time, value)
SELECT device_id, metric_id, time, value
FROM unnest(%(devices)b::int8[], %(metrics)b::int8[], %(times)b::timestamptz[], %(values)b::float8[])
    AS batch (device_id, metric_id, time, value)
WHERE %(oldest)b::timestamptz >= COALESCE((SELECT max(since) FROM tds_new_keptsince), '-infinity')
ORDER BY device_id, metric_id, time
