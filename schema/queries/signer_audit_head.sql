-- Where the audit trail ends.
-- One row: number (0: it is empty), hash
SELECT number, hash FROM audit.head()
