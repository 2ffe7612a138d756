-- Makes the deliveries of new notices.
--   $1 most notices
-- Rows: one, dealt int4: how many notices.
SELECT coldchain.notices_deal($1::int) AS dealt
