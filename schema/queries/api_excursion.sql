-- One excursion and its revisions. Unknown: SQLSTATE CF404.
-- $1 number
SELECT api.excursion_get($1::bigint) AS body
