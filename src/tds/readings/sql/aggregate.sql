-- The hours of a set of rows (device_id, metric_id, time, value). A counter that falls was reset: it began at 0 again.
SELECT device_id, metric_id, hour, count(*)::int AS n,
       min(value) AS minimum, max(value) AS maximum, sum(value) AS total,
       min(value) FILTER (WHERE before IS NULL) AS first,
       min(value) FILTER (WHERE after IS NULL) AS last,
       max(time) AS last_time,
       COALESCE(sum(CASE WHEN value >= before THEN value - before WHEN before IS NOT NULL THEN value END), 0) AS increase
FROM (
    SELECT device_id, metric_id, time, value, hour,
           lag(value) OVER w AS before, lead(value) OVER w AS after
    FROM (SELECT *, date_trunc('hour', time, {zone}) AS hour FROM ({rows}) AS source) AS timed
    WINDOW w AS (PARTITION BY device_id, metric_id, hour ORDER BY time)
) AS ordered
GROUP BY device_id, metric_id, hour
