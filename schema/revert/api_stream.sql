-- SPDX-License-Identifier: Apache-2.0
-- Drops the functions and types of the live stream.
BEGIN;

DROP FUNCTION api.stream_open(text, text, text, text);
DROP FUNCTION api.feed_sweep(text, int, int, int, text[], text[]);
DROP FUNCTION api.feed_watched(text[], text[], text[], text[]);
DROP FUNCTION api.feed_states(int[], xid8[], api.stream_view[]);
DROP FUNCTION api.feed_events(xid8, bigint, int, text[], text[], text[]);
DROP FUNCTION api.stream_seen(api.stream_view[], int[]);
DROP FUNCTION api.stream_views(text[], text[], text[]);
DROP FUNCTION api.of_group(text, int[]);
DROP FUNCTION api.json_event(text, timestamptz, text, text);
DROP TYPE api.stream_piece;
DROP TYPE api.stream_sight;
DROP TYPE api.stream_view;
DROP FUNCTION telemetry.states_changed(int[], int[], int, pg_snapshot, int, int);
DROP FUNCTION fleet.events_after(xid8, bigint, int);

COMMIT;
