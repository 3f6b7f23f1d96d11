-- Who is retired is out for good, by serial number, whichever door the retirement came in by: with a new owner the same
-- code is somebody else's, and the old certificate must not pass for theirs.
CREATE FUNCTION tds_new_gateway_retired() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE tds_new_certificate SET revoked_at = NEW.retired_at, revocation_reason = 'cessationOfOperation'
        WHERE gateway_id = NEW.id AND revoked_at IS NULL;
    UPDATE tds_new_claimcode SET revoked_at = NEW.retired_at
        WHERE gateway_id = NEW.id AND used_at IS NULL AND revoked_at IS NULL;
    DELETE FROM tds_new_gatewaypassword WHERE gateway_id = NEW.id;
    RETURN NULL;
END $$;
CREATE TRIGGER tds_new_gateway_retired
    AFTER UPDATE OF status ON tds_new_gateway
    FOR EACH ROW WHEN (NEW.status = 'retired' AND OLD.status <> 'retired')
    EXECUTE FUNCTION tds_new_gateway_retired();
