-- The earliest closed hour that got late rows: still dirty, or aggregated again after the moment.
SELECT min(hour) FROM (
    SELECT hour FROM tds_new_horasuja WHERE device_id = ANY(%(devices)s) AND hour >= %(start)s
    UNION ALL
    SELECT hour FROM unnest(%(devices)s::int8[], %(metrics)s::int8[]) AS series (device_id, metric_id)
    JOIN tds_new_leiturahora USING (device_id, metric_id)
    WHERE hour >= %(start)s AND hour < %(end)s AND updated_at > %(moment)s
) AS changed
