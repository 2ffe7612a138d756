-- The broker has taken notices.
--   $1 notice_id of each
SELECT coldchain.notices_published($1::bigint[])
