-- SPDX-License-Identifier: Apache-2.0
-- Drops the figures; nothing of them is stored.
BEGIN;

DROP VIEW coldchain.total;
DROP FUNCTION coldchain.lot_figures(int);
DROP FUNCTION coldchain.band_figures(int[], timestamptz, timestamptz);
DROP FUNCTION coldchain.figures(int[], timestamptz, timestamptz, double precision, double precision, double precision);
DROP FUNCTION coldchain.pieces(int[], timestamptz, timestamptz);
DROP FUNCTION coldchain.mkt_c(double precision[], double precision[], double precision, double precision);
DROP FUNCTION coldchain.kinetic_factor(double precision, double precision, double precision);
DROP FUNCTION coldchain.kinetic_c(double precision, double precision, double precision);

COMMIT;
