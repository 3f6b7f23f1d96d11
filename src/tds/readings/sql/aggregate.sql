-- The hours of a set of rows (time and value, of many series also the keys). `increase` takes a counter that falls for
-- a reset one: it began at 0 again. The falls and what they fell from are kept, so that charts can judge them by a
-- register's size.
-- Sums are of values within ±1e290: two of the largest float64 would overflow, and one device would stop all hours.
SELECT {keys}hour, count(*)::int AS n,
       min(value) AS minimum, max(value) AS maximum, sum(summand) AS total,
       min(value) FILTER (WHERE before IS NULL) AS first,
       min(value) FILTER (WHERE after IS NULL) AS last,
       max(time) AS last_time,
       COALESCE(sum(CASE WHEN summand >= before THEN summand - before WHEN before IS NOT NULL THEN summand END), 0)
           AS increase,
       count(*) FILTER (WHERE summand < before)::int AS falls,
       COALESCE(sum(before) FILTER (WHERE summand < before), 0) AS fell_from
FROM (
    SELECT {keys}time, value, summand, hour,
           lag(summand) OVER w AS before, lead(summand) OVER w AS after
    FROM (
        SELECT *, {hour} AS hour,
               LEAST(GREATEST(value, '-1e290'::float8), '1e290'::float8) AS summand
        FROM ({rows}) AS source
    ) AS timed
    WINDOW w AS (PARTITION BY {keys}hour ORDER BY time)
) AS ordered
GROUP BY {keys}hour
