-- Hours know the falls of a counter. Those that may hold some are aggregated again by the worker, and read raw until then:
-- between readings that never fall, an hour gains the last less the first (sums are rounded, so some have none after all).
ALTER TABLE tds_new_leiturahora
    ADD COLUMN falls integer NOT NULL DEFAULT 0,
    ADD COLUMN fell_from double precision NOT NULL DEFAULT 0;
INSERT INTO tds_new_horasuja (device_id, hour)
SELECT DISTINCT device_id, hour FROM tds_new_leiturahora
WHERE increase <> LEAST(GREATEST(last, '-1e290'), '1e290') - LEAST(GREATEST(first, '-1e290'), '1e290');
