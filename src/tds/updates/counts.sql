-- What an execution counts as in its wave: the words of rollouts/counts.py.
CREATE FUNCTION tds_new_execution_kind(status text, reason text, offered boolean, accepted boolean, due boolean)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN status = 'QUEUED' THEN CASE WHEN offered THEN 'offered' ELSE 'waiting' END
        WHEN status IN ('FAILED', 'TIMED_OUT', 'REJECTED', 'REMOVED', 'CANCELED') AND accepted THEN 'accepted'
        WHEN status IN ('REMOVED', 'CANCELED') AND due THEN 'unknown'
        WHEN status = 'FAILED' AND reason = 'rolled_back' THEN 'rolled_back'
        WHEN status = 'TIMED_OUT' AND reason = 'lost' THEN 'lost'
        ELSE lower(status)
    END
$$;
-- A statement adds its net change as few rows: nobody waits for a count's row, and none of a hundred thousand is lost.
CREATE FUNCTION tds_new_execution_count_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tds_new_wavecountchange (rollout_id, wave, kind, executions)
    SELECT rollout_id, wave,
        tds_new_execution_kind(status, reason, offered_at IS NOT NULL, accepted, deadline_at IS NOT NULL), count(*)
    FROM after GROUP BY 1, 2, 3;
    RETURN NULL;
END $$;
CREATE FUNCTION tds_new_execution_count_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tds_new_wavecountchange (rollout_id, wave, kind, executions)
    SELECT rollout_id, wave, kind, sum(n) FROM (
        SELECT rollout_id, wave, tds_new_execution_kind(
            status, reason, offered_at IS NOT NULL, accepted, deadline_at IS NOT NULL) AS kind, 1 AS n
        FROM after
        UNION ALL
        SELECT rollout_id, wave, tds_new_execution_kind(
            status, reason, offered_at IS NOT NULL, accepted, deadline_at IS NOT NULL), -1
        FROM before
    ) AS change GROUP BY 1, 2, 3 HAVING sum(n) <> 0;
    RETURN NULL;
END $$;
CREATE TRIGGER tds_new_execution_added AFTER INSERT ON tds_new_execution
    REFERENCING NEW TABLE AS after FOR EACH STATEMENT EXECUTE FUNCTION tds_new_execution_count_added();
CREATE TRIGGER tds_new_execution_changed AFTER UPDATE ON tds_new_execution
    REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION tds_new_execution_count_changed();
-- Whatever ends or reopens an execution: what the gate compares with is of the moment at which it succeeded, and a
-- failure that a person accepted is accepted once.
CREATE FUNCTION tds_new_execution_turned() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.accepted := OLD.accepted AND NEW.status IN ('FAILED', 'TIMED_OUT', 'REJECTED', 'REMOVED', 'CANCELED');
    NEW.restarts := NULL;
    IF NEW.status = 'SUCCEEDED' THEN
        SELECT restarts INTO NEW.restarts FROM tds_new_runningfirmware WHERE gateway_id = NEW.gateway_id;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER tds_new_execution_turned BEFORE UPDATE ON tds_new_execution
    FOR EACH ROW WHEN (NEW.status <> OLD.status) EXECUTE FUNCTION tds_new_execution_turned();
