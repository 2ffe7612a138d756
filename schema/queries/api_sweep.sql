-- Brings the next part of what the fleet is listed by up to the latest state. Rows: whole bool, one: a round is complete.
SELECT api.sweep() AS whole
