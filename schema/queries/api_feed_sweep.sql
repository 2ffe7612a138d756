-- The latest state of more devices, for views that name none, where it is new.
-- $1 snapshot that has been seen, $2 after this device_id, $3 how many to look at, $4 how many to give, $5 scopes, $6 groups.
-- Rows: xid, id (of the device), type, data (JSON), views int4[]; the last without a type has the snapshot in xid, and in id
-- the device to go on after, NULL: those were all.
SELECT xid, id, type, data, views FROM api.feed_sweep($1::text, $2::int4, $3::int4, $4::int4, $5::text[], $6::text[])
