-- What a counter gained among values in their order: {last, increase, falls, sum of the values before each fall}.
-- A continuous aggregate knows no window functions, but it takes aggregates with an order of their own.
CREATE FUNCTION tds_new_counted(state float8[], value float8) RETURNS float8[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    IF state IS NULL THEN
        RETURN ARRAY[value, 0, 0, 0];
    ELSIF value >= state[1] THEN
        state[2] := state[2] + (value - state[1]);
    ELSE
        state[2] := state[2] + value;
        state[3] := state[3] + 1;
        state[4] := state[4] + state[1];
    END IF;
    state[1] := value;
    RETURN state;
END $$;
CREATE AGGREGATE tds_new_counted(float8) (SFUNC = tds_new_counted, STYPE = float8[], PARALLEL = SAFE);

-- Hours as in aggregate.sql. What is not aggregated yet is read from the rows.
CREATE MATERIALIZED VIEW tds_new_leiturahora
WITH (timescaledb.continuous, timescaledb.materialized_only = false, timescaledb.chunk_interval = '1 day',
      timescaledb.create_group_indexes = false) AS
SELECT device_id, metric_id, time_bucket('1 hour', time) AS hour, count(*)::int AS n,
       min(value) AS minimum, max(value) AS maximum,
       sum(LEAST(GREATEST(value, '-1e290'::float8), '1e290'::float8)) AS total,
       first(value, time) AS first, last(value, time) AS last, max(time) AS last_time,
       (tds_new_counted(LEAST(GREATEST(value, '-1e290'::float8), '1e290'::float8) ORDER BY time))[2] AS increase,
       (tds_new_counted(LEAST(GREATEST(value, '-1e290'::float8), '1e290'::float8) ORDER BY time))[3]::int AS falls,
       (tds_new_counted(LEAST(GREATEST(value, '-1e290'::float8), '1e290'::float8) ORDER BY time))[4] AS fell_from
FROM tds_new_leituradispositivo GROUP BY device_id, metric_id, time_bucket('1 hour', time)
WITH NO DATA;
-- As the native table's key: a chart asks for some series, and an index by device alone finds all metrics of it.
CREATE INDEX tds_new_leiturahora_series ON tds_new_leiturahora (device_id, metric_id, hour);
