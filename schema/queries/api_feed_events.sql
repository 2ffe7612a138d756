-- The next events for the views of this process.
-- $1 xid and $2 id of the place, $3 how many, $4 scopes, $5 serials, $6 groups: the views.
-- Rows: xid, id, type, data (JSON), views int4[]; the last without a type says where to go on.
SELECT xid, id, type, data, views FROM api.feed_events($1::text::xid8, $2::int8, $3::int4, $4::text[], $5::text[], $6::text[])
