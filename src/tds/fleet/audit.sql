-- The audit trail only grows. Whoever owns the table can still take the triggers away; nothing of ours does.
CREATE FUNCTION tds_new_audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'The audit trail is never changed: % was refused.', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER tds_new_audit_only_grows
    BEFORE UPDATE OR DELETE ON tds_new_auditentry FOR EACH STATEMENT EXECUTE FUNCTION tds_new_audit_refuse();
CREATE TRIGGER tds_new_audit_is_not_emptied
    BEFORE TRUNCATE ON tds_new_auditentry FOR EACH STATEMENT EXECUTE FUNCTION tds_new_audit_refuse();
