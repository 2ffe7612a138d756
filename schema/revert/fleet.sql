-- SPDX-License-Identifier: Apache-2.0
-- Drops the schema by name of its parts, so that an object it does not know stops the revert.
BEGIN;

DROP TABLE fleet.token, fleet.certificate, fleet.sim, fleet.module, fleet.device, fleet.model;
DROP FUNCTION fleet.devices_changed(xid8, int, int);
DROP FUNCTION fleet.create_token(text, text, timestamptz);
DROP FUNCTION fleet.add_certificate(text, bytea, bytea, timestamptz, timestamptz);
DROP FUNCTION fleet.register_device(text, text, text, text, text, text);
DROP FUNCTION fleet.certificate_changed();
DROP FUNCTION fleet.device_notify();
DROP FUNCTION fleet.device_changed();
DROP FUNCTION fleet.imei_valid(text);
DROP SCHEMA fleet;

COMMIT;
