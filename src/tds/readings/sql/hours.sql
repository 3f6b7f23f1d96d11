-- The hours of some series. Closed clean hours come from the rollup; open and dirty ones from the rows, so that the
-- answer is right at every moment. One statement: it sees one state of the tables. Hours come as seconds since 1970:
-- a chart has thousands of rows and few hours, and a number is read ten times faster than a timestamp.
WITH series AS MATERIALIZED (
    SELECT * FROM unnest(%(devices)s::int8[], %(metrics)s::int8[]) AS s (device_id, metric_id)
), dirty AS MATERIALIZED (
    SELECT DISTINCT device_id, hour FROM tds_new_horasuja
    WHERE device_id = ANY(%(devices)s) AND hour >= %(start)s AND hour < %(end)s
      AND hour < (SELECT complete_before FROM tds_new_estadorollup) AND %(rollup)s
), fresh AS (
    -- Series by series: each one's rows come sorted out of its key, and few at a time are grouped in memory.
    SELECT series.device_id, series.metric_id, of_series.*
    FROM series CROSS JOIN LATERAL ({aggregate}) AS of_series
)
SELECT device_id, metric_id, extract(epoch FROM hour)::int8, n, minimum, maximum, total{in_order}
FROM fresh
UNION ALL
SELECT device_id, metric_id, extract(epoch FROM hour)::int8, n, minimum, maximum, total{in_order}
FROM series CROSS JOIN LATERAL (
    -- OFFSET 0: series by series. A planner that may join as it likes reads the hours of the whole fleet.
    SELECT hour, n, minimum, maximum, total{in_order} FROM tds_new_leiturahora AS h
    WHERE h.device_id = series.device_id AND h.metric_id = series.metric_id
      AND %(rollup)s AND hour >= %(start)s AND hour < %(end)s
      AND hour < (SELECT complete_before FROM tds_new_estadorollup)
    OFFSET 0
) AS rolled_up
WHERE (device_id, hour) NOT IN (SELECT device_id, hour FROM dirty)
ORDER BY 1, 2, 3
