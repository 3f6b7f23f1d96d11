-- The newest reading of each series, and the last one up to a day before it (at most an hour older than that).
SELECT series.device_id, series.metric_id, newest.time, newest.value, yesterday.value
FROM unnest(%(devices)s::int8[], %(metrics)s::int8[]) AS series (device_id, metric_id)
CROSS JOIN LATERAL (
    SELECT time, value FROM tds_new_leituradispositivo AS r
    WHERE r.device_id = series.device_id AND r.metric_id = series.metric_id
    ORDER BY time DESC LIMIT 1
) AS newest
LEFT JOIN LATERAL (
    SELECT value FROM tds_new_leituradispositivo AS r
    WHERE r.device_id = series.device_id AND r.metric_id = series.metric_id
      AND r.time <= newest.time - interval '24 hours' AND r.time > newest.time - interval '25 hours'
    ORDER BY time DESC LIMIT 1
) AS yesterday ON true
