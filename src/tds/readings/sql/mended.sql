-- Says since when the answer for an hour is another one: charts that have seen the old one ask for it again.
INSERT INTO tds_new_horaemendada (device_id, hour, mended_at)
SELECT device_id, hour, clock_timestamp()
FROM (SELECT DISTINCT * FROM unnest(%(devices)s::int8[], %(hours)s::timestamptz[]) AS late (device_id, hour)) AS late
ON CONFLICT (device_id, hour) DO UPDATE SET mended_at = EXCLUDED.mended_at
