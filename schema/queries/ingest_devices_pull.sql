-- Devices that changed since a token was taken, one chunk; the next chunk starts after the last device_id of this one.
--   $1 token ('0': all devices)  $2 after_device_id (0 at first)  $3 limit
-- Rows: device_id int4, serial text, by rising device_id.
SELECT device_id, serial FROM fleet.devices_changed($1::text::xid8, $2::int4, $3::int4)
