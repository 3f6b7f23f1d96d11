-- As aggregate.sql, of one series, without what the order of its rows tells: that costs as much again as all the rest.
SELECT hour, count(*)::int AS n, min(value) AS minimum, max(value) AS maximum,
       sum(LEAST(GREATEST(value, '-1e290'::float8), '1e290'::float8)) AS total
FROM (SELECT value, {hour} AS hour FROM ({rows}) AS source) AS timed
GROUP BY hour
