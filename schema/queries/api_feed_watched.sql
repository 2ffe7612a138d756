-- The latest state of the devices that views name, where it is new.
-- $1 snapshots that have been seen, $2 scopes, $3 serials, $4 groups: the views.
-- Rows: xid, id (of the device), type, data (JSON), views int4[]; the last without a type has the snapshot in xid.
SELECT xid, id, type, data, views FROM api.feed_watched($1::text[], $2::text[], $3::text[], $4::text[])
