-- When a closed hour of a device was aggregated again: the charts' cursor asks what changed since.
CREATE TABLE tds_new_horaemendada (
    device_id bigint NOT NULL,
    hour timestamptz NOT NULL,
    mended_at timestamptz NOT NULL,
    PRIMARY KEY (device_id, hour)
);
CREATE INDEX tds_new_horaemendada_hour ON tds_new_horaemendada (hour);
ALTER TABLE tds_new_leiturahora DROP COLUMN updated_at;
