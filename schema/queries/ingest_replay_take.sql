-- Quarantined messages that are to be decoded anew, at most 64; no other process gets them for a minute.
-- Rows: id int8, topic text, payload bytea, content_type text or NULL, received_us int8 (microseconds since 1970).
SELECT id, topic, payload, content_type, received_us FROM telemetry.replay_take(64)
