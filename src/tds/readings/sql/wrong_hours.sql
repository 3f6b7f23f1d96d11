-- Closed clean hours of one partition or chunk whose aggregate counts other rows than there are, and how many such hours.
WITH there AS (
    SELECT device_id, metric_id, date_trunc('hour', time, 'UTC') AS hour, count(*) AS n FROM {part}
    WHERE %(all)s OR device_id = ANY(%(devices)s::int8[])
    GROUP BY 1, 2, 3
), aggregated AS (
    SELECT device_id, metric_id, hour, n FROM tds_new_leiturahora
    WHERE hour >= %(start)s AND hour < %(end)s AND (%(all)s OR device_id = ANY(%(devices)s::int8[]))
)
SELECT device_id, metric_id, hour, COALESCE(there.n, 0), aggregated.n, count(*) OVER ()
FROM there FULL JOIN aggregated USING (device_id, metric_id, hour)
WHERE there.n IS DISTINCT FROM aggregated.n AND hour < (SELECT complete_before FROM tds_new_estadorollup)
  AND NOT EXISTS (SELECT FROM tds_new_horasuja AS late
                  WHERE late.device_id = COALESCE(there.device_id, aggregated.device_id) AND late.hour = COALESCE(there.hour, aggregated.hour))
ORDER BY hour, device_id, metric_id LIMIT {limit}
