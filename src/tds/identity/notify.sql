-- Tells who signs revocation lists that there is another certificate, or another state of one.
CREATE FUNCTION tds_new_certificate_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('tds_identity', '');
    RETURN NULL;
END $$;
CREATE TRIGGER tds_new_certificate_changed
    AFTER INSERT OR DELETE OR UPDATE OF revoked_at, gateway_id, not_after ON tds_new_certificate
    FOR EACH STATEMENT EXECUTE FUNCTION tds_new_certificate_changed();

-- Tells who keeps the brokers' access files that there is another list, or another password.
CREATE FUNCTION tds_new_access_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('tds_access', '');
    RETURN NULL;
END $$;
CREATE TRIGGER tds_new_revocation_list_changed
    AFTER INSERT OR DELETE OR UPDATE ON tds_new_revocationlist
    FOR EACH STATEMENT EXECUTE FUNCTION tds_new_access_changed();
CREATE TRIGGER tds_new_gateway_password_changed
    AFTER INSERT OR DELETE OR UPDATE ON tds_new_gatewaypassword
    FOR EACH STATEMENT EXECUTE FUNCTION tds_new_access_changed();
