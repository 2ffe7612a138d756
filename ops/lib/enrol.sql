-- SPDX-License-Identifier: Apache-2.0
-- Registers the trackers and certificates that `coldfleet-tracker mint` lists on standard input. All of them or none.
\set QUIET on
BEGIN;
CREATE TEMPORARY TABLE minted (serial text, sha256 text, key_sha256 text, not_before timestamptz, not_after timestamptz)
	ON COMMIT DROP;
\copy minted FROM pstdin
SELECT count(fleet.register_device(serial, 'Coldfleet', 'CF-1', 'A')) AS registered FROM minted \gset
SELECT count(fleet.add_certificate(serial, decode(sha256, 'hex'), decode(key_sha256, 'hex'), not_before, not_after)) AS certified
	FROM minted \gset
UPDATE fleet.model SET end_of_support = '2036-12-31'
	WHERE manufacturer = 'Coldfleet' AND name = 'CF-1' AND end_of_support IS NULL;
COMMIT;
