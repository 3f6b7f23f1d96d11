-- A gateway has tags of its own company only, whoever writes them: gateway, tag and tenant are held together by keys.
ALTER TABLE tds_new_gateway ADD CONSTRAINT tds_new_gateway_of_tenant UNIQUE (id, tenant_id);
ALTER TABLE tds_new_tag ADD CONSTRAINT tds_new_tag_of_tenant UNIQUE (id, tenant_id);
ALTER TABLE tds_new_gatewaytag
    ADD CONSTRAINT tds_new_gatewaytag_gateway FOREIGN KEY (gateway_id, tenant_id)
        REFERENCES tds_new_gateway (id, tenant_id) DEFERRABLE INITIALLY DEFERRED,
    ADD CONSTRAINT tds_new_gatewaytag_tag FOREIGN KEY (tag_id, tenant_id)
        REFERENCES tds_new_tag (id, tenant_id) DEFERRABLE INITIALLY DEFERRED;
