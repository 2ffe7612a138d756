-- SPDX-License-Identifier: Apache-2.0
-- Drops what was added by name, so that an object it does not know stops the revert.
BEGIN;

DROP TRIGGER announce_config ON fleet.config;
DROP TRIGGER announce_lifecycle ON fleet.device;
DROP TRIGGER announce_registered ON fleet.device;
DROP FUNCTION fleet.forget_events(int);
DROP FUNCTION fleet.announce_config();
DROP FUNCTION fleet.announce_lifecycle();
DROP FUNCTION fleet.announce(text, int, jsonb);
DROP TABLE fleet.event_log, fleet.event, fleet.event_type;

COMMIT;
