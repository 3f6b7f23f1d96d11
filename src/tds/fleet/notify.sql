-- Tells every consumer which gateway changed, so that what it remembers of it is read anew.
CREATE FUNCTION tds_new_gateway_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('tds_fleet', COALESCE(NEW.code, OLD.code));
    IF TG_OP = 'UPDATE' AND NEW.code <> OLD.code THEN
        PERFORM pg_notify('tds_fleet', OLD.code);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER tds_new_gateway_changed
    AFTER INSERT OR DELETE OR UPDATE OF code, status, auto_devices, tenant_id, retired_at ON tds_new_gateway
    FOR EACH ROW EXECUTE FUNCTION tds_new_gateway_changed();

-- A device that was removed or renamed; new ones are found by themselves.
CREATE FUNCTION tds_new_device_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('tds_fleet', code) FROM tds_new_gateway WHERE id IN (OLD.gateway_id);
    RETURN NULL;
END $$;
CREATE TRIGGER tds_new_device_changed
    AFTER DELETE OR UPDATE OF code, gateway_id ON tds_new_device
    FOR EACH ROW EXECUTE FUNCTION tds_new_device_changed();

-- A metric that was removed or renamed concerns a whole tenant: an empty name means forget everything.
CREATE FUNCTION tds_new_metric_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('tds_fleet', '');
    RETURN NULL;
END $$;
CREATE TRIGGER tds_new_metric_changed
    AFTER DELETE OR UPDATE OF tipo, unidade, tenant_id ON tds_new_metric
    FOR EACH ROW EXECUTE FUNCTION tds_new_metric_changed();
