-- SPDX-License-Identifier: Apache-2.0
-- People who sign in at an identity provider: coldfleet-api verifies their access tokens and says who they are; and a
-- record of the tokens that did not hold.
BEGIN;

SET LOCAL ROLE coldfleet_owner;

CREATE TABLE fleet.refused_login (
	refused_login_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	at timestamptz NOT NULL DEFAULT now(),
	reason text NOT NULL CHECK (length(reason) <= 32),
	detail text NOT NULL CHECK (length(detail) <= 300),
	address inet,
	request_id text NOT NULL CHECK (length(request_id) <= 64)
);
CREATE INDEX refused_login_at ON fleet.refused_login (at);
COMMENT ON TABLE fleet.refused_login IS
	'Tokens that coldfleet-api refused, one row each, for 90 days; a process writes at most one a second on average, the metric '
	'coldfleet_api_logins_refused_total counts all.';
COMMENT ON COLUMN fleet.refused_login.refused_login_id IS 'Number of the row.';
COMMENT ON COLUMN fleet.refused_login.at IS 'When.';
COMMENT ON COLUMN fleet.refused_login.reason IS
	'malformed, algorithm, type, key, signature, issuer, audience, time or subject: the first thing that was wrong with a token of an '
	'identity provider; token: one of our own that is unknown, expired or revoked.';
COMMENT ON COLUMN fleet.refused_login.detail IS 'The same in words.';
COMMENT ON COLUMN fleet.refused_login.address IS 'Where the request came from; NULL: a Unix socket.';
COMMENT ON COLUMN fleet.refused_login.request_id IS 'The request, as in the log.';
GRANT SELECT, INSERT, DELETE ON fleet.refused_login TO coldfleet_api_definer;
GRANT SELECT ON fleet.refused_login TO coldfleet_analyst;

SET LOCAL ROLE coldfleet_api_definer;

CREATE FUNCTION api.begin_oidc(subject text, role text, groups json, needed text, request_id text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	its_groups int[];
BEGIN
	IF groups IS NOT NULL THEN
		-- The names are looked up among all groups; api.enter() then sets the scope that they mean.
		PERFORM set_config('coldfleet.scope', '*', true);
		its_groups := ARRAY(SELECT g.group_id FROM fleet.device_group AS g
				    WHERE g.name IN (SELECT json_array_elements_text(groups)));
		IF cardinality(its_groups) = 0 THEN
			RAISE EXCEPTION 'the access token names no group that exists here' USING ERRCODE = 'CF403';
		END IF;
	END IF;
	PERFORM api.enter(subject, NULL, role, its_groups, needed, request_id);
END
$$;
COMMENT ON FUNCTION api.begin_oidc(text, text, json, text, text) IS
	'Opens a call for a subject whose access token coldfleet-api has verified, with this role and the groups of these names (NULL: all '
	'devices). No such group, or a role that may not call what needs at least that role: CF403.';

CREATE FUNCTION api.refused_login(reason text, detail text, address inet, request_id text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	-- Each call that adds a row takes two old ones away, so the table needs nobody else.
	DELETE FROM fleet.refused_login AS old WHERE old.refused_login_id IN (
		SELECT r.refused_login_id FROM fleet.refused_login AS r WHERE r.at < now() - interval '90 days'
		ORDER BY r.at LIMIT 2);
	INSERT INTO fleet.refused_login (reason, detail, address, request_id) VALUES (reason, left(detail, 300), address, request_id);
END
$$;
COMMENT ON FUNCTION api.refused_login(text, text, inet, text) IS 'Notes an access token that did not hold.';

REVOKE ALL ON FUNCTION api.begin_oidc(text, text, json, text, text), api.refused_login(text, text, inet, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api.begin_oidc(text, text, json, text, text), api.refused_login(text, text, inet, text) TO coldfleet_api;

COMMIT;
