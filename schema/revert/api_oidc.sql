-- SPDX-License-Identifier: Apache-2.0
-- Drops the functions and the record of refused access tokens.
BEGIN;

DROP FUNCTION api.refused_login(text, text, inet, text);
DROP FUNCTION api.begin_oidc(text, text, json, text, text);
DROP TABLE fleet.refused_login;

COMMIT;
