-- SPDX-License-Identifier: Apache-2.0
-- Drops the views, hours and days; the readings that they are computed from stay.
BEGIN;

REVOKE EXECUTE ON FUNCTION telemetry.partitions() FROM coldfleet_analyst;
DROP VIEW analytics.storage;
DROP VIEW analytics.outside_calibration;
DROP VIEW analytics.calibration_point;
DROP VIEW analytics.calibration;
DROP VIEW analytics.command;
DROP VIEW analytics.gap;
DROP VIEW analytics.budget;
DROP VIEW analytics.excursion;
DROP VIEW analytics.assignment;
DROP VIEW analytics.shipment;
DROP VIEW analytics.reading;
DROP VIEW analytics.device;
DROP VIEW analytics.daily;
DROP VIEW analytics.hourly;
DROP FUNCTION analytics.refresh(int, timestamptz);
DROP FUNCTION analytics.compute(int[], timestamptz[]);
DROP FUNCTION analytics.hours_of(int[], timestamptz[], timestamptz);
DROP FUNCTION analytics.kinetic(real, double precision);
DROP TABLE analytics.due, analytics.day, analytics.hour;
DROP SCHEMA analytics;

COMMIT;
