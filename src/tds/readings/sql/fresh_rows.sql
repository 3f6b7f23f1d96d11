-- The rows of one series that `hours` aggregates itself: of hours not closed yet, and of closed ones that got late rows.
-- Both name start and end beside what they mean: only what is known beforehand spares the planner other partitions.
SELECT r.time, r.value FROM tds_new_leituradispositivo AS r
WHERE r.device_id = series.device_id AND r.metric_id = series.metric_id AND r.time >= %(start)s AND r.time < %(end)s
  AND r.time >= (SELECT CASE WHEN %(rollup)s THEN complete_before ELSE %(start)s END FROM tds_new_estadorollup)
UNION ALL
SELECT r.time, r.value
FROM dirty CROSS JOIN LATERAL (
    -- OFFSET 0: hour by hour. A planner that may join as it likes reads the whole period once for each dirty hour.
    SELECT time, value FROM tds_new_leituradispositivo AS r
    WHERE r.device_id = series.device_id AND r.metric_id = series.metric_id
      AND r.time >= %(start)s AND r.time < %(end)s
      AND r.time >= dirty.hour AND r.time < dirty.hour + interval '1 hour'
    OFFSET 0
) AS r
WHERE dirty.device_id = series.device_id
