-- Edits what awaits approval. Not as If-Match says: SQLSTATE CF412.
-- $1 id, $2 body, $3 If-Match
SELECT * FROM api.request_edit($1::text, $2::jsonb, $3::text)
