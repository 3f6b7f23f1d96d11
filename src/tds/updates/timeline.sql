-- What happened in a rollout is never changed.
CREATE FUNCTION tds_new_timeline_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'A rollout''s timeline is never changed: % was refused.', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER tds_new_timeline_only_grows
    BEFORE UPDATE OR DELETE ON tds_new_rolloutevent FOR EACH STATEMENT EXECUTE FUNCTION tds_new_timeline_refuse();
-- One count for all tickets (`seq`): whatever a gateway saw, the next one is higher, also after it changed hands. It
-- follows the clock; see executions/numbers.py.
CREATE SEQUENCE tds_new_ticket_seq AS bigint MINVALUE 1 MAXVALUE 9007199254740991;
