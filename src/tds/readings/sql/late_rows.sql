-- All rows of hours of devices that are in the log of late ones.
SELECT r.device_id, r.metric_id, r.time, r.value
FROM (
    SELECT DISTINCT * FROM unnest(%(devices)s::int8[], %(hours)s::timestamptz[]) AS late (device_id, hour)
) AS late CROSS JOIN LATERAL (
    -- OFFSET 0: hour by hour. A planner that may join as it likes reads all partitions, for fifty hours of a device.
    SELECT device_id, metric_id, time, value FROM tds_new_leituradispositivo AS r
    WHERE r.device_id = late.device_id AND r.time >= late.hour AND r.time < late.hour + interval '1 hour'
    OFFSET 0
) AS r
