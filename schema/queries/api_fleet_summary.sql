-- Counts over the fleet, as JSON text.
SELECT api.fleet_summary() AS body
