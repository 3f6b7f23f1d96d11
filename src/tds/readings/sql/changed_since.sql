-- The earliest closed hour that got late rows: still dirty, or aggregated again after the moment. These are UTC's hours,
-- and where a zone's begin at another minute `start` lies within one: its late rows may be of the hour that begins there.
SELECT min(hour) FROM (
    SELECT hour FROM tds_new_horasuja
    WHERE device_id = ANY(%(devices)s) AND hour >= date_trunc('hour', %(start)s::timestamptz, 'UTC')
    UNION ALL
    SELECT hour FROM tds_new_horaemendada
    WHERE device_id = ANY(%(devices)s) AND hour >= date_trunc('hour', %(start)s::timestamptz, 'UTC')
      AND mended_at > %(moment)s
) AS changed
