-- The earliest closed hour that got late rows: still dirty, or aggregated again after the moment.
SELECT min(hour) FROM (
    SELECT hour FROM tds_new_horasuja WHERE device_id = ANY(%(devices)s) AND hour >= %(start)s
    UNION ALL
    SELECT hour FROM tds_new_horaemendada
    WHERE device_id = ANY(%(devices)s) AND hour >= %(start)s AND mended_at > %(moment)s
) AS changed
