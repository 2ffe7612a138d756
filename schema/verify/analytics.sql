-- SPDX-License-Identifier: Apache-2.0
-- Every view answers, and nothing is due of no devices.
BEGIN;

SELECT FROM analytics.hourly WHERE false;
SELECT FROM analytics.daily WHERE false;
SELECT FROM analytics.device WHERE false;
SELECT FROM analytics.reading WHERE false;
SELECT FROM analytics.shipment WHERE false;
SELECT FROM analytics.assignment WHERE false;
SELECT FROM analytics.excursion WHERE false;
SELECT FROM analytics.budget WHERE false;
SELECT FROM analytics.gap WHERE false;
SELECT FROM analytics.command WHERE false;
SELECT FROM analytics.calibration WHERE false;
SELECT FROM analytics.calibration_point WHERE false;
SELECT FROM analytics.outside_calibration WHERE false;
SELECT FROM analytics.storage WHERE false;
SELECT has_function_privilege('coldfleet_notify', 'analytics.refresh(int, timestamptz)', 'EXECUTE');

ROLLBACK;
