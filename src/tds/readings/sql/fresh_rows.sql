-- The rows that `hours` aggregates itself: those of hours not closed yet, and of closed ones that got late rows.
-- Both name start and end beside what they mean: only what is known beforehand spares the planner other partitions.
SELECT device_id, metric_id, r.time, r.value
FROM series CROSS JOIN LATERAL (
    SELECT time, value FROM tds_new_leituradispositivo AS r
    WHERE r.device_id = series.device_id AND r.metric_id = series.metric_id AND r.time >= %(start)s AND r.time < %(end)s
      AND r.time >= (
          SELECT CASE WHEN %(rollup)s THEN complete_before ELSE %(start)s END FROM tds_new_estadorollup)
) AS r
UNION ALL
SELECT series.device_id, series.metric_id, r.time, r.value
FROM dirty JOIN series USING (device_id) CROSS JOIN LATERAL (
    SELECT time, value FROM tds_new_leituradispositivo AS r
    WHERE r.device_id = series.device_id AND r.metric_id = series.metric_id
      AND r.time >= %(start)s AND r.time < %(end)s
      AND r.time >= dirty.hour AND r.time < dirty.hour + interval '1 hour'
) AS r
