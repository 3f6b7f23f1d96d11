-- As mended.sql, for all hours of a window that hold readings.
INSERT INTO tds_new_horaemendada (device_id, hour, mended_at)
SELECT device_id, hour, clock_timestamp() FROM (
    SELECT DISTINCT device_id, hour FROM tds_new_leiturahora WHERE hour >= %(start)s AND hour < %(end)s) AS rebuilt
ON CONFLICT (device_id, hour) DO UPDATE SET mended_at = EXCLUDED.mended_at
