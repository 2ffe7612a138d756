-- SPDX-License-Identifier: Apache-2.0
-- The cold chain: products and the versioned profiles of what they bear; shipments, lots, and which probe watched which lot
-- when; and what was found: excursions, and the time that a lot has spent where it may not stay. Profiles are data; what is
-- found is computed from readings, assignments and profile versions alone, and is never edited by hand.
BEGIN;

CREATE SCHEMA coldchain AUTHORIZATION coldfleet_owner;
SET LOCAL ROLE coldfleet_owner;
COMMENT ON SCHEMA coldchain IS 'What products bear, which tracker watched them when, and what was found.';

-- ---- products and profiles ----

CREATE FUNCTION coldchain.gtin_valid(gtin text) RETURNS boolean
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT gtin ~ '^[0-9]{14}$' AND sum((ascii(substr(gtin, place, 1)) - 48) * CASE WHEN place % 2 = 1 THEN 3 ELSE 1 END) % 10 = 0
	FROM generate_series(1, 14) AS place
$$;
COMMENT ON FUNCTION coldchain.gtin_valid(text) IS 'True for 14 digits whose last one is the check digit of the others (GS1 General Specifications, 7.9).';

CREATE TABLE coldchain.product (
	product_id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	name text NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 200),
	manufacturer text NOT NULL DEFAULT '' CHECK (length(manufacturer) <= 200),
	gtin text UNIQUE CHECK (coldchain.gtin_valid(gtin)),
	frozen boolean NOT NULL DEFAULT false,
	created_at timestamptz NOT NULL DEFAULT now(),
	revision xid8 NOT NULL DEFAULT pg_current_xact_id()
);
COMMENT ON TABLE coldchain.product IS 'What is shipped, one row a product.';
COMMENT ON COLUMN coldchain.product.product_id IS 'Number of the product.';
COMMENT ON COLUMN coldchain.product.name IS 'What people call it.';
COMMENT ON COLUMN coldchain.product.manufacturer IS 'Who makes it; empty: not said.';
COMMENT ON COLUMN coldchain.product.gtin IS 'Global trade item number, 14 digits; NULL: unknown.';
COMMENT ON COLUMN coldchain.product.frozen IS 'True: it is kept frozen, and no mean kinetic temperature is given for it.';
COMMENT ON COLUMN coldchain.product.created_at IS 'When it was made.';
COMMENT ON COLUMN coldchain.product.revision IS 'The transaction that last changed it; its ETag.';

CREATE TABLE coldchain.profile (
	profile_id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	code text NOT NULL UNIQUE COLLATE "C" CHECK (code ~ '^[a-z0-9][a-z0-9-]{0,63}$'),
	product_id int REFERENCES coldchain.product,
	title text NOT NULL CHECK (length(title) BETWEEN 1 AND 200),
	region text NOT NULL DEFAULT '' CHECK (length(region) <= 100)
);
CREATE INDEX profile_product ON coldchain.profile (product_id);
COMMENT ON TABLE coldchain.profile IS 'What a product bears, or what equipment is alarmed by, under one code; the limits are in its versions.';
COMMENT ON COLUMN coldchain.profile.profile_id IS 'Number of the profile.';
COMMENT ON COLUMN coldchain.profile.code IS 'What programs call it: a-z 0-9 -.';
COMMENT ON COLUMN coldchain.profile.product_id IS 'The product that it is about; NULL: any.';
COMMENT ON COLUMN coldchain.profile.title IS 'What people call it.';
COMMENT ON COLUMN coldchain.profile.region IS 'Where its label holds; empty: anywhere, or not said.';

CREATE TABLE coldchain.profile_version (
	profile_version_id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	profile_id int NOT NULL REFERENCES coldchain.profile,
	version int NOT NULL CHECK (version > 0),
	storage_lower_c real CHECK (storage_lower_c BETWEEN -273.15 AND 1000),
	storage_upper_c real CHECK (storage_upper_c BETWEEN -273.15 AND 1000),
	effective_from date NOT NULL,
	effective_to date,
	source text NOT NULL CHECK (length(source) BETWEEN 1 AND 1000),
	verified boolean NOT NULL DEFAULT false,
	note text NOT NULL DEFAULT '' CHECK (length(note) <= 2000),
	created_at timestamptz NOT NULL DEFAULT now(),
	created_by text NOT NULL DEFAULT coalesce(fleet.setting('actor'), session_user),
	reason text DEFAULT fleet.setting('reason'),
	UNIQUE (profile_id, version),
	CHECK (storage_lower_c < storage_upper_c),
	CHECK (effective_to > effective_from)
);
COMMENT ON TABLE coldchain.profile_version IS
	'What a profile says, every version that there ever was. A version that an assignment uses is never edited, only superseded by the next.';
COMMENT ON COLUMN coldchain.profile_version.profile_version_id IS 'Number of the version among all; what verdicts name.';
COMMENT ON COLUMN coldchain.profile_version.profile_id IS 'The profile.';
COMMENT ON COLUMN coldchain.profile_version.version IS 'Counts the versions of a profile from 1.';
COMMENT ON COLUMN coldchain.profile_version.storage_lower_c IS
	'Lowest temperature at which it may stay without any limit of time, degrees Celsius; NULL: no lowest.';
COMMENT ON COLUMN coldchain.profile_version.storage_upper_c IS 'Highest such temperature, degrees Celsius; NULL: no highest.';
COMMENT ON COLUMN coldchain.profile_version.effective_from IS 'First day on which it holds.';
COMMENT ON COLUMN coldchain.profile_version.effective_to IS 'Day from which on it holds no longer; NULL: it does.';
COMMENT ON COLUMN coldchain.profile_version.source IS 'Where the limits are from: a label, a document, a standard.';
COMMENT ON COLUMN coldchain.profile_version.verified IS 'True: somebody has compared it with its source. False for all that ship with coldfleet.';
COMMENT ON COLUMN coldchain.profile_version.note IS 'What the bands do not express; empty: nothing.';
COMMENT ON COLUMN coldchain.profile_version.created_at IS 'When it was made.';
COMMENT ON COLUMN coldchain.profile_version.created_by IS 'Who made it.';
COMMENT ON COLUMN coldchain.profile_version.reason IS 'Why; NULL: not said.';

CREATE TABLE coldchain.band (
	band_id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	profile_version_id int NOT NULL REFERENCES coldchain.profile_version ON DELETE CASCADE,
	code text NOT NULL COLLATE "C" CHECK (code ~ '^[a-z0-9][a-z0-9-]{0,31}$'),
	title text NOT NULL CHECK (length(title) BETWEEN 1 AND 200),
	lower_c real CHECK (lower_c BETWEEN -273.15 AND 1000),
	lower_inclusive boolean NOT NULL DEFAULT false,
	upper_c real CHECK (upper_c BETWEEN -273.15 AND 1000),
	upper_inclusive boolean NOT NULL DEFAULT false,
	counting text NOT NULL CHECK (counting IN ('single', 'cumulative')),
	allowed_s int NOT NULL CHECK (allowed_s >= 0),
	irreversible boolean NOT NULL DEFAULT false,
	UNIQUE (profile_version_id, code),
	CHECK (lower_c IS NOT NULL OR upper_c IS NOT NULL),
	CHECK (lower_c < upper_c OR (lower_c = upper_c AND lower_inclusive AND upper_inclusive)),
	CHECK (lower_c IS NOT NULL OR NOT lower_inclusive),
	CHECK (upper_c IS NOT NULL OR NOT upper_inclusive)
);
COMMENT ON TABLE coldchain.band IS
	'Temperatures at which a product may stay for a limited time only, each band judged by itself. A temperature within the band is '
	'out of range as far as this band goes; time within it uses up the allowed duration.';
COMMENT ON COLUMN coldchain.band.band_id IS 'Number of the band.';
COMMENT ON COLUMN coldchain.band.profile_version_id IS 'The version of the profile that it belongs to.';
COMMENT ON COLUMN coldchain.band.code IS
	'What programs call it; of one product the same in every version, for cumulative time goes on counting under this code.';
COMMENT ON COLUMN coldchain.band.title IS 'What people call it.';
COMMENT ON COLUMN coldchain.band.lower_c IS 'Its lower end, degrees Celsius; NULL: it has none.';
COMMENT ON COLUMN coldchain.band.lower_inclusive IS 'True: a temperature equal to the lower end is in the band (>=); false: it is not (>).';
COMMENT ON COLUMN coldchain.band.upper_c IS 'Its upper end, degrees Celsius; NULL: it has none.';
COMMENT ON COLUMN coldchain.band.upper_inclusive IS 'True: a temperature equal to the upper end is in the band (<=); false: it is not (<).';
COMMENT ON COLUMN coldchain.band.counting IS
	'single: each stay counts from zero; cumulative: all stays of a lot together, over shipments, legs and devices.';
COMMENT ON COLUMN coldchain.band.allowed_s IS 'How long it may stay there, seconds; the limit is reached when that time is up. 0: not for a moment.';
COMMENT ON COLUMN coldchain.band.irreversible IS 'True: having been there changes the product for good (thawed, frozen).';

CREATE FUNCTION coldchain.in_band(temperature_c real, lower_c real, lower_inclusive boolean, upper_c real, upper_inclusive boolean) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (lower_c IS NULL OR temperature_c > lower_c OR (lower_inclusive AND temperature_c = lower_c))
	AND (upper_c IS NULL OR temperature_c < upper_c OR (upper_inclusive AND temperature_c = upper_c));
COMMENT ON FUNCTION coldchain.in_band(real, real, boolean, real, boolean) IS 'Is a temperature within the ends of a band?';

-- ---- shipments ----

CREATE TABLE coldchain.lane (
	lane_id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	origin text NOT NULL CHECK (length(origin) BETWEEN 1 AND 200),
	destination text NOT NULL CHECK (length(destination) BETWEEN 1 AND 200),
	carrier text NOT NULL CHECK (length(carrier) <= 200),
	UNIQUE (origin, destination, carrier)
);
COMMENT ON TABLE coldchain.lane IS 'From where to where with whom, one row a lane.';
COMMENT ON COLUMN coldchain.lane.lane_id IS 'Number of the lane.';
COMMENT ON COLUMN coldchain.lane.origin IS 'Where it begins.';
COMMENT ON COLUMN coldchain.lane.destination IS 'Where it ends.';
COMMENT ON COLUMN coldchain.lane.carrier IS 'Who carries; empty: not said.';

CREATE TABLE coldchain.shipment (
	shipment_id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	reference text NOT NULL UNIQUE COLLATE "C" CHECK (length(reference) BETWEEN 1 AND 128),
	lane_id int REFERENCES coldchain.lane,
	state text NOT NULL DEFAULT 'ready' CHECK (state IN ('ready', 'shipping', 'delivered', 'closed', 'cancelled')),
	ignore_s int NOT NULL DEFAULT 600 CHECK (ignore_s BETWEEN 0 AND 86400),
	started_at timestamptz,
	delivered_at timestamptz,
	closed_at timestamptz,
	cancelled_at timestamptz,
	decision text CHECK (decision IN ('released', 'quarantined', 'rejected')),
	decided_by text CHECK (length(decided_by) BETWEEN 1 AND 128),
	decided_at timestamptz,
	decision_reason text CHECK (length(decision_reason) BETWEEN 1 AND 2000),
	note text NOT NULL DEFAULT '' CHECK (length(note) <= 2000),
	created_at timestamptz NOT NULL DEFAULT now(),
	created_by text NOT NULL DEFAULT coalesce(fleet.setting('actor'), session_user),
	revision xid8 NOT NULL DEFAULT pg_current_xact_id(),
	CHECK ((state IN ('shipping', 'delivered', 'closed')) <= (started_at IS NOT NULL)),
	CHECK ((state = 'ready') <= (started_at IS NULL)),
	CHECK ((state IN ('delivered', 'closed')) = (delivered_at IS NOT NULL)),
	CHECK ((state = 'closed') = (closed_at IS NOT NULL)),
	CHECK ((state = 'cancelled') = (cancelled_at IS NOT NULL)),
	CHECK (delivered_at > started_at),
	CHECK (num_nonnulls(decision, decided_by, decided_at, decision_reason) IN (0, 4)),
	CHECK (decision IS NULL OR state IN ('delivered', 'closed'))
);
CREATE INDEX shipment_state ON coldchain.shipment (state, shipment_id);
CREATE INDEX shipment_lane ON coldchain.shipment (lane_id);
COMMENT ON TABLE coldchain.shipment IS
	'Something under way, one row a shipment: ready, shipping, delivered, closed; or cancelled. Readings are judged from its start, '
	'after the ignore period, to its delivery.';
COMMENT ON COLUMN coldchain.shipment.shipment_id IS 'Number of the shipment.';
COMMENT ON COLUMN coldchain.shipment.reference IS 'What logistics people call it.';
COMMENT ON COLUMN coldchain.shipment.lane_id IS 'From where to where with whom; NULL: not said.';
COMMENT ON COLUMN coldchain.shipment.state IS 'ready: planned; shipping: under way; delivered: arrived; closed: nothing about it changes; cancelled.';
COMMENT ON COLUMN coldchain.shipment.ignore_s IS 'How long after the start readings are not judged, for trackers come from a warm room, seconds.';
COMMENT ON COLUMN coldchain.shipment.started_at IS 'When it left, in measurement time; NULL: not yet.';
COMMENT ON COLUMN coldchain.shipment.delivered_at IS 'When it arrived, in measurement time; NULL: not yet.';
COMMENT ON COLUMN coldchain.shipment.closed_at IS 'When it was closed, by our clock; NULL: it is not.';
COMMENT ON COLUMN coldchain.shipment.cancelled_at IS 'When it was cancelled, by our clock; NULL: it is not.';
COMMENT ON COLUMN coldchain.shipment.decision IS 'released, quarantined or rejected; NULL: nobody has decided.';
COMMENT ON COLUMN coldchain.shipment.decided_by IS 'Who decided.';
COMMENT ON COLUMN coldchain.shipment.decided_at IS 'When.';
COMMENT ON COLUMN coldchain.shipment.decision_reason IS 'Why.';
COMMENT ON COLUMN coldchain.shipment.note IS 'Whatever else there is to say; empty: nothing.';
COMMENT ON COLUMN coldchain.shipment.created_at IS 'When it was made.';
COMMENT ON COLUMN coldchain.shipment.created_by IS 'Who made it.';
COMMENT ON COLUMN coldchain.shipment.revision IS 'The transaction that last changed it; its ETag.';

CREATE TABLE coldchain.leg (
	shipment_id int NOT NULL REFERENCES coldchain.shipment,
	leg int NOT NULL CHECK (leg > 0),
	origin text NOT NULL CHECK (length(origin) BETWEEN 1 AND 200),
	destination text NOT NULL CHECK (length(destination) BETWEEN 1 AND 200),
	carrier text NOT NULL DEFAULT '' CHECK (length(carrier) <= 200),
	started_at timestamptz,
	ended_at timestamptz,
	started_how text CHECK (started_how IN ('person', 'button', 'geofence')),
	ended_how text CHECK (ended_how IN ('person', 'button', 'geofence')),
	PRIMARY KEY (shipment_id, leg),
	CHECK ((started_at IS NULL) = (started_how IS NULL)),
	CHECK ((ended_at IS NULL) = (ended_how IS NULL)),
	CHECK (ended_at > started_at),
	CHECK (ended_at IS NULL OR started_at IS NOT NULL)
);
COMMENT ON TABLE coldchain.leg IS 'The stages of a shipment, one row a leg.';
COMMENT ON COLUMN coldchain.leg.shipment_id IS 'The shipment.';
COMMENT ON COLUMN coldchain.leg.leg IS 'Counts the legs of a shipment from 1.';
COMMENT ON COLUMN coldchain.leg.origin IS 'Where it begins.';
COMMENT ON COLUMN coldchain.leg.destination IS 'Where it ends.';
COMMENT ON COLUMN coldchain.leg.carrier IS 'Who carries; empty: not said.';
COMMENT ON COLUMN coldchain.leg.started_at IS 'When it began, in measurement time; NULL: not yet.';
COMMENT ON COLUMN coldchain.leg.ended_at IS 'When it ended, in measurement time; NULL: not yet.';
COMMENT ON COLUMN coldchain.leg.started_how IS 'Who or what said so: person, button (of the tracker), geofence.';
COMMENT ON COLUMN coldchain.leg.ended_how IS 'Who or what said so: person, button (of the tracker), geofence.';

CREATE TABLE coldchain.lot (
	lot_id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	product_id int NOT NULL REFERENCES coldchain.product,
	number text NOT NULL COLLATE "C" CHECK (length(number) BETWEEN 1 AND 64),
	expires_on date,
	created_at timestamptz NOT NULL DEFAULT now(),
	UNIQUE (product_id, number)
);
CREATE INDEX lot_number ON coldchain.lot (number);
COMMENT ON TABLE coldchain.lot IS 'A batch of a product, one row a lot. Cumulative time belongs to it.';
COMMENT ON COLUMN coldchain.lot.lot_id IS 'Number of the lot.';
COMMENT ON COLUMN coldchain.lot.product_id IS 'The product.';
COMMENT ON COLUMN coldchain.lot.number IS 'Lot or batch number as its maker writes it.';
COMMENT ON COLUMN coldchain.lot.expires_on IS 'Its expiry date; NULL: not said.';
COMMENT ON COLUMN coldchain.lot.created_at IS 'When it was made.';

CREATE TABLE coldchain.shipment_lot (
	shipment_id int NOT NULL REFERENCES coldchain.shipment,
	lot_id int NOT NULL REFERENCES coldchain.lot,
	quantity int CHECK (quantity > 0),
	PRIMARY KEY (shipment_id, lot_id)
);
CREATE INDEX shipment_lot_lot ON coldchain.shipment_lot (lot_id);
COMMENT ON TABLE coldchain.shipment_lot IS 'What a shipment carries, one row a lot.';
COMMENT ON COLUMN coldchain.shipment_lot.shipment_id IS 'The shipment.';
COMMENT ON COLUMN coldchain.shipment_lot.lot_id IS 'The lot.';
COMMENT ON COLUMN coldchain.shipment_lot.quantity IS 'How many of it, in units of sale; NULL: not said.';

CREATE TABLE coldchain.assignment (
	assignment_id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	version int NOT NULL DEFAULT 1,
	device_id int NOT NULL REFERENCES fleet.device,
	probe smallint NOT NULL DEFAULT 0 CHECK (probe >= 0),
	shipment_id int NOT NULL,
	lot_id int NOT NULL,
	profile_version_id int NOT NULL REFERENCES coldchain.profile_version,
	role text NOT NULL DEFAULT 'product' CHECK (role IN ('product', 'ambient')),
	during tstzrange NOT NULL CHECK (isempty(during) OR (lower_inc(during) AND NOT upper_inc(during))),
	sample_interval_s int NOT NULL DEFAULT 600 CHECK (sample_interval_s BETWEEN 1 AND 86400),
	judged tstzrange NOT NULL DEFAULT 'empty',
	created_at timestamptz NOT NULL DEFAULT now(),
	FOREIGN KEY (shipment_id, lot_id) REFERENCES coldchain.shipment_lot,
	UNIQUE (device_id, probe, shipment_id, lot_id, assignment_id)
);
CREATE INDEX assignment_shipment ON coldchain.assignment (shipment_id);
CREATE INDEX assignment_lot ON coldchain.assignment (lot_id);
CREATE INDEX assignment_profile ON coldchain.assignment (profile_version_id);
COMMENT ON TABLE coldchain.assignment IS
	'Which probe of which device watched which lot in which shipment, and when. A correction changes the row, the versions before are in '
	'coldchain.assignment_version, and everything is computed anew. A probe that watches two lots has two rows.';
COMMENT ON COLUMN coldchain.assignment.assignment_id IS 'Number of the assignment.';
COMMENT ON COLUMN coldchain.assignment.version IS 'Counts its versions from 1.';
COMMENT ON COLUMN coldchain.assignment.device_id IS 'The device. Another device is another assignment.';
COMMENT ON COLUMN coldchain.assignment.probe IS 'Which probe of the device, as in telemetry.reading.';
COMMENT ON COLUMN coldchain.assignment.shipment_id IS 'The shipment.';
COMMENT ON COLUMN coldchain.assignment.lot_id IS 'The lot, one of the shipment.';
COMMENT ON COLUMN coldchain.assignment.profile_version_id IS 'By which version of which profile it is judged.';
COMMENT ON COLUMN coldchain.assignment.role IS 'product: beside the product, judged; ambient: around it, never judged.';
COMMENT ON COLUMN coldchain.assignment.during IS
	'When, in measurement time, from (inclusive) to (exclusive); without end: it still does; empty: withdrawn, it never did.';
COMMENT ON COLUMN coldchain.assignment.sample_interval_s IS
	'How often the device measures, seconds. More than 2.1 times as long without a sample is unobserved time.';
COMMENT ON COLUMN coldchain.assignment.judged IS
	'What of `during` is judged: from the shipment''s start and ignore period to its delivery. Kept by triggers.';
COMMENT ON COLUMN coldchain.assignment.created_at IS 'When it was made.';

CREATE TABLE coldchain.assignment_version (
	assignment_id int NOT NULL,
	version int NOT NULL,
	device_id int NOT NULL,
	during tstzrange NOT NULL,
	profile_version_id int NOT NULL,
	role text NOT NULL,
	sample_interval_s int NOT NULL,
	at timestamptz NOT NULL DEFAULT clock_timestamp(),
	actor text NOT NULL DEFAULT coalesce(fleet.setting('actor'), session_user),
	reason text DEFAULT fleet.setting('reason'),
	PRIMARY KEY (assignment_id, version)
);
COMMENT ON TABLE coldchain.assignment_version IS 'Every version of every assignment, who made it, when and why. Rows are added, never changed.';
COMMENT ON COLUMN coldchain.assignment_version.assignment_id IS 'The assignment.';
COMMENT ON COLUMN coldchain.assignment_version.version IS 'Counts its versions from 1.';
COMMENT ON COLUMN coldchain.assignment_version.device_id IS 'Its device.';
COMMENT ON COLUMN coldchain.assignment_version.during IS 'When it held, in measurement time.';
COMMENT ON COLUMN coldchain.assignment_version.profile_version_id IS 'By which version of which profile it was judged.';
COMMENT ON COLUMN coldchain.assignment_version.role IS 'product or ambient.';
COMMENT ON COLUMN coldchain.assignment_version.sample_interval_s IS 'How often the device was said to measure, seconds.';
COMMENT ON COLUMN coldchain.assignment_version.at IS 'When this version was made.';
COMMENT ON COLUMN coldchain.assignment_version.actor IS 'Who made it.';
COMMENT ON COLUMN coldchain.assignment_version.reason IS 'Why; NULL: not said.';

-- ---- what was found ----

CREATE TABLE coldchain.excursion (
	excursion_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	revision int NOT NULL DEFAULT 1,
	state text NOT NULL CHECK (state IN ('open', 'ended', 'merged', 'retracted')),
	device_id int NOT NULL,
	probe smallint NOT NULL,
	assignment_id int NOT NULL REFERENCES coldchain.assignment,
	band_id int NOT NULL REFERENCES coldchain.band,
	algorithm int NOT NULL,
	started_at timestamptz NOT NULL,
	last_at timestamptz NOT NULL,
	ended_at timestamptz,
	alarm_at timestamptz,
	out_s double precision NOT NULL,
	unobserved_s double precision NOT NULL,
	worst_alarm_at timestamptz,
	min_c real NOT NULL,
	max_c real NOT NULL,
	samples int NOT NULL,
	observed tstzmultirange NOT NULL,
	late boolean NOT NULL DEFAULT false,
	found_at timestamptz NOT NULL DEFAULT now(),
	merged_into bigint REFERENCES coldchain.excursion DEFERRABLE INITIALLY DEFERRED,
	split_from bigint REFERENCES coldchain.excursion DEFERRABLE INITIALLY DEFERRED,
	CHECK ((state = 'open') <= (ended_at IS NULL)),
	CHECK ((state = 'ended') <= (ended_at IS NOT NULL)),
	CHECK ((state = 'merged') = (merged_into IS NOT NULL)),
	CHECK (last_at >= started_at AND ended_at >= last_at AND alarm_at >= started_at)
);
CREATE UNIQUE INDEX excursion_standing ON coldchain.excursion (assignment_id, band_id, started_at) WHERE state IN ('open', 'ended');
CREATE INDEX excursion_device ON coldchain.excursion (device_id, started_at);
CREATE INDEX excursion_started ON coldchain.excursion (started_at) WHERE state IN ('open', 'ended');
CREATE INDEX excursion_open ON coldchain.excursion (device_id) WHERE state = 'open';
COMMENT ON TABLE coldchain.excursion IS
	'Unbroken stays of a probe in a band, as they are known now; those that stand are open or ended. Computed from readings, '
	'assignments and profile versions alone. What was said before is in coldchain.excursion_revision.';
COMMENT ON COLUMN coldchain.excursion.excursion_id IS 'Number of the excursion; stays while it is revised.';
COMMENT ON COLUMN coldchain.excursion.revision IS 'Counts what has been said about it from 1. While it is open, last_at and the figures follow the readings without a new revision.';
COMMENT ON COLUMN coldchain.excursion.state IS
	'open: the newest sample is in the band; ended; merged: it is part of merged_into, as later readings showed; retracted: later readings or '
	'a corrected assignment showed that there was none.';
COMMENT ON COLUMN coldchain.excursion.device_id IS 'The device.';
COMMENT ON COLUMN coldchain.excursion.probe IS 'The probe.';
COMMENT ON COLUMN coldchain.excursion.assignment_id IS 'The assignment, which says shipment and lot.';
COMMENT ON COLUMN coldchain.excursion.band_id IS 'The band, which says the version of the profile.';
COMMENT ON COLUMN coldchain.excursion.algorithm IS 'Version of the algorithm that found it, coldchain.algorithm().';
COMMENT ON COLUMN coldchain.excursion.started_at IS 'The first sample in the band, in measurement time.';
COMMENT ON COLUMN coldchain.excursion.last_at IS 'The last sample in the band.';
COMMENT ON COLUMN coldchain.excursion.ended_at IS 'The first sample that was outside again, or the end of what is judged; NULL: open.';
COMMENT ON COLUMN coldchain.excursion.alarm_at IS
	'When the allowed duration was used up by observed time: the start plus that duration, unless time between was unobserved. NULL: it was '
	'not; or the band is cumulative, see coldchain.exposure.';
COMMENT ON COLUMN coldchain.excursion.out_s IS 'Observed time in the band, seconds.';
COMMENT ON COLUMN coldchain.excursion.unobserved_s IS 'Unobserved time between its samples, or after its last one until it ended, seconds.';
COMMENT ON COLUMN coldchain.excursion.worst_alarm_at IS 'What alarm_at would be, had all of that unobserved time been spent in the band.';
COMMENT ON COLUMN coldchain.excursion.min_c IS 'Lowest temperature of its samples, degrees Celsius.';
COMMENT ON COLUMN coldchain.excursion.max_c IS 'Highest temperature of its samples, degrees Celsius.';
COMMENT ON COLUMN coldchain.excursion.samples IS 'How many samples it has.';
COMMENT ON COLUMN coldchain.excursion.observed IS 'The times that make up out_s.';
COMMENT ON COLUMN coldchain.excursion.late IS 'True: the alarm was found late, from readings that came after newer ones had, or from a corrected assignment.';
COMMENT ON COLUMN coldchain.excursion.found_at IS 'When it was first found, by our clock.';
COMMENT ON COLUMN coldchain.excursion.merged_into IS 'The excursion that it is part of; NULL: it is not merged.';
COMMENT ON COLUMN coldchain.excursion.split_from IS 'The excursion that it was part of before later readings showed two; NULL: none.';

CREATE TABLE coldchain.excursion_revision (
	excursion_id bigint NOT NULL REFERENCES coldchain.excursion,
	revision int NOT NULL,
	device_id int NOT NULL,
	at timestamptz NOT NULL DEFAULT now(),
	change text NOT NULL CHECK (change IN ('found', 'alarm', 'ended', 'revised', 'split', 'merged', 'retracted')),
	state text NOT NULL,
	started_at timestamptz NOT NULL,
	last_at timestamptz NOT NULL,
	ended_at timestamptz,
	alarm_at timestamptz,
	out_s double precision NOT NULL,
	unobserved_s double precision NOT NULL,
	min_c real NOT NULL,
	max_c real NOT NULL,
	profile_version_id int NOT NULL,
	algorithm int NOT NULL,
	PRIMARY KEY (excursion_id, revision)
);
COMMENT ON TABLE coldchain.excursion_revision IS 'Everything that was ever said about an excursion. Rows are added, never changed.';
COMMENT ON COLUMN coldchain.excursion_revision.excursion_id IS 'The excursion.';
COMMENT ON COLUMN coldchain.excursion_revision.revision IS 'Counts from 1.';
COMMENT ON COLUMN coldchain.excursion_revision.device_id IS 'Its device.';
COMMENT ON COLUMN coldchain.excursion_revision.at IS 'When it was said, by our clock.';
COMMENT ON COLUMN coldchain.excursion_revision.change IS
	'What was new: found; alarm: the allowed duration is used up; ended; revised: start, end or alarm are other than was said; split: what '
	'was one is two; merged and retracted: see the states.';
COMMENT ON COLUMN coldchain.excursion_revision.state IS 'As in coldchain.excursion, at this revision.';
COMMENT ON COLUMN coldchain.excursion_revision.started_at IS 'As in coldchain.excursion, at this revision.';
COMMENT ON COLUMN coldchain.excursion_revision.last_at IS 'As in coldchain.excursion, at this revision.';
COMMENT ON COLUMN coldchain.excursion_revision.ended_at IS 'As in coldchain.excursion, at this revision.';
COMMENT ON COLUMN coldchain.excursion_revision.alarm_at IS 'As in coldchain.excursion, at this revision.';
COMMENT ON COLUMN coldchain.excursion_revision.out_s IS 'As in coldchain.excursion, at this revision.';
COMMENT ON COLUMN coldchain.excursion_revision.unobserved_s IS 'As in coldchain.excursion, at this revision.';
COMMENT ON COLUMN coldchain.excursion_revision.min_c IS 'As in coldchain.excursion, at this revision.';
COMMENT ON COLUMN coldchain.excursion_revision.max_c IS 'As in coldchain.excursion, at this revision.';
COMMENT ON COLUMN coldchain.excursion_revision.profile_version_id IS 'The version of the profile that it was judged by.';
COMMENT ON COLUMN coldchain.excursion_revision.algorithm IS 'The version of the algorithm that judged.';

CREATE TABLE coldchain.exposure (
	lot_id int NOT NULL REFERENCES coldchain.lot,
	band_code text NOT NULL COLLATE "C",
	counting text NOT NULL CHECK (counting IN ('single', 'cumulative')),
	allowed_s int NOT NULL,
	out_s double precision NOT NULL,
	longest_s double precision NOT NULL,
	excursions int NOT NULL,
	first_at timestamptz NOT NULL,
	alarm_at timestamptz,
	late boolean NOT NULL DEFAULT false,
	algorithm int NOT NULL,
	PRIMARY KEY (lot_id, band_code)
);
COMMENT ON TABLE coldchain.exposure IS
	'How long a lot was in a band in all, over shipments, legs and devices; time that several probes saw it there counts once. No row: never.';
COMMENT ON COLUMN coldchain.exposure.lot_id IS 'The lot.';
COMMENT ON COLUMN coldchain.exposure.band_code IS 'The band, by its code.';
COMMENT ON COLUMN coldchain.exposure.counting IS 'How the band counts: cumulative when it does so in any version of the profile that was used.';
COMMENT ON COLUMN coldchain.exposure.allowed_s IS 'The allowed duration, seconds; the shortest of the versions of the profile that were used.';
COMMENT ON COLUMN coldchain.exposure.out_s IS 'Observed time in the band, seconds.';
COMMENT ON COLUMN coldchain.exposure.longest_s IS 'Observed time in its longest excursion, seconds.';
COMMENT ON COLUMN coldchain.exposure.excursions IS 'How many excursions there were, of all probes.';
COMMENT ON COLUMN coldchain.exposure.first_at IS 'When the lot was first in the band.';
COMMENT ON COLUMN coldchain.exposure.alarm_at IS
	'When the allowed duration was used up: of a cumulative band by all stays together, else the first alarm of an excursion. NULL: it is not.';
COMMENT ON COLUMN coldchain.exposure.late IS 'True: the alarm of a single band was found late; of a cumulative one coldchain.alarm.late says so.';
COMMENT ON COLUMN coldchain.exposure.algorithm IS 'Version of the algorithm, coldchain.algorithm().';

CREATE TABLE coldchain.due (
	due_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	device_id int NOT NULL,
	since timestamptz NOT NULL
);
CREATE INDEX due_device ON coldchain.due (device_id);
COMMENT ON TABLE coldchain.due IS 'Devices to be evaluated, rows added in the transaction that gives the reason and taken away by coldchain.evaluate().';
COMMENT ON COLUMN coldchain.due.due_id IS 'Number of the row.';
COMMENT ON COLUMN coldchain.due.device_id IS 'The device.';
COMMENT ON COLUMN coldchain.due.since IS 'From this measurement time on something may be different; -infinity: everything may.';

-- ---- rules ----

CREATE FUNCTION coldchain.profile_frozen() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	id CONSTANT int := CASE WHEN TG_OP = 'INSERT' THEN new.profile_version_id ELSE old.profile_version_id END;
BEGIN
	IF TG_TABLE_NAME = 'profile_version' AND TG_OP = 'UPDATE'
			AND to_jsonb(new) - 'effective_to' = to_jsonb(old) - 'effective_to' THEN
		RETURN new; -- superseded: that is how a version ends
	END IF;
	IF EXISTS (SELECT FROM coldchain.assignment_version AS a WHERE a.profile_version_id = id) THEN
		RAISE EXCEPTION 'version % of a profile is in use: make a new version', id USING ERRCODE = 'integrity_constraint_violation';
	END IF;
	RETURN CASE WHEN TG_OP = 'DELETE' THEN old ELSE new END;
END
$$;
COMMENT ON FUNCTION coldchain.profile_frozen() IS 'Trigger: a version of a profile that was ever used to judge is never edited, except for the day on which it ends.';
CREATE INDEX assignment_version_profile ON coldchain.assignment_version (profile_version_id);
CREATE TRIGGER profile_frozen BEFORE UPDATE OR DELETE ON coldchain.profile_version
	FOR EACH ROW EXECUTE FUNCTION coldchain.profile_frozen();
CREATE TRIGGER profile_frozen BEFORE INSERT OR UPDATE OR DELETE ON coldchain.band
	FOR EACH ROW EXECUTE FUNCTION coldchain.profile_frozen();

CREATE FUNCTION coldchain.band_outside_storage() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF EXISTS (SELECT FROM coldchain.profile_version AS v WHERE v.profile_version_id = new.profile_version_id
			AND coalesce(new.upper_c, 'infinity') > coalesce(v.storage_lower_c, '-infinity')
			AND coalesce(new.lower_c, '-infinity') < coalesce(v.storage_upper_c, 'infinity')) THEN
		RAISE EXCEPTION 'band %: a temperature of the storage range cannot be limited in time', new.code
			USING ERRCODE = 'check_violation';
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION coldchain.band_outside_storage() IS
	'Trigger: no band reaches into the range of storage, where time has no limit; so readings within that range need no evaluation.';
CREATE TRIGGER band_outside_storage AFTER INSERT OR UPDATE ON coldchain.band
	FOR EACH ROW EXECUTE FUNCTION coldchain.band_outside_storage();

CREATE FUNCTION coldchain.shipment_step() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF old.state <> new.state AND (old.state, new.state) NOT IN (('ready', 'shipping'), ('shipping', 'delivered'), ('delivered', 'closed'),
			('ready', 'cancelled'), ('shipping', 'cancelled')) THEN
		RAISE EXCEPTION 'shipment %: cannot go from % to %', old.reference, old.state, new.state USING ERRCODE = 'object_not_in_prerequisite_state';
	END IF;
	IF old.state IN ('closed', 'cancelled') AND to_jsonb(new) - 'revision' <> to_jsonb(old) - 'revision' THEN
		RAISE EXCEPTION 'shipment % is %: nothing about it changes', old.reference, old.state USING ERRCODE = 'object_not_in_prerequisite_state';
	END IF;
	new.revision := pg_current_xact_id();
	RETURN new;
END
$$;
COMMENT ON FUNCTION coldchain.shipment_step() IS
	'Trigger: ready, shipping, delivered, closed; cancelled before delivery. Times may be corrected until it is closed. Otherwise 55000.';
CREATE TRIGGER shipment_step BEFORE UPDATE ON coldchain.shipment
	FOR EACH ROW EXECUTE FUNCTION coldchain.shipment_step();

CREATE FUNCTION coldchain.revised() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	new.revision := pg_current_xact_id();
	RETURN new;
END
$$;
COMMENT ON FUNCTION coldchain.revised() IS 'Trigger: what is changed gets the number of the transaction as its revision.';
CREATE TRIGGER revised BEFORE UPDATE ON coldchain.product
	FOR EACH ROW EXECUTE FUNCTION coldchain.revised();

-- What of an assignment is judged. A cancelled shipment was under way until it was cancelled.
CREATE FUNCTION coldchain.judged(during tstzrange, shipment_id int) RETURNS tstzrange
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE WHEN started IS NULL OR ended <= started THEN 'empty'::tstzrange ELSE during * tstzrange(started, ended) END
	FROM (SELECT s.started_at + make_interval(secs => s.ignore_s) AS started, coalesce(s.delivered_at, s.cancelled_at) AS ended
	      FROM coldchain.shipment AS s WHERE s.shipment_id = judged.shipment_id) AS s
$$;
COMMENT ON FUNCTION coldchain.judged(tstzrange, int) IS 'The part of an interval of measurement time in which readings of a shipment are judged.';

CREATE FUNCTION coldchain.assignment_step() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF TG_OP = 'UPDATE' THEN
		IF (new.assignment_id, new.device_id, new.probe, new.shipment_id, new.lot_id)
				<> (old.assignment_id, old.device_id, old.probe, old.shipment_id, old.lot_id) THEN
			RAISE EXCEPTION 'assignment %: withdraw it (empty interval) and make another', old.assignment_id
				USING ERRCODE = 'integrity_constraint_violation';
		END IF;
		IF (new.during, new.profile_version_id, new.role, new.sample_interval_s)
				IS DISTINCT FROM (old.during, old.profile_version_id, old.role, old.sample_interval_s) THEN
			new.version := old.version + 1;
		ELSE
			new.version := old.version;
		END IF;
	ELSE
		new.version := 1;
	END IF;
	IF TG_OP = 'INSERT' OR new.version > old.version THEN
		IF (SELECT s.state FROM coldchain.shipment AS s WHERE s.shipment_id = new.shipment_id FOR SHARE) IN ('closed', 'cancelled') THEN
			RAISE EXCEPTION 'assignment: the shipment is closed or cancelled' USING ERRCODE = 'object_not_in_prerequisite_state';
		END IF;
		INSERT INTO coldchain.assignment_version (assignment_id, version, device_id, during, profile_version_id, role, sample_interval_s)
		VALUES (new.assignment_id, new.version, new.device_id, new.during, new.profile_version_id, new.role, new.sample_interval_s);
	END IF;
	new.judged := coldchain.judged(new.during, new.shipment_id);
	RETURN new;
END
$$;
COMMENT ON FUNCTION coldchain.assignment_step() IS
	'Trigger: keeps every version of an assignment and what of it is judged. Device, probe, shipment and lot never change (23000); '
	'nothing changes in a closed or cancelled shipment (55000).';
CREATE TRIGGER assignment_step BEFORE INSERT OR UPDATE ON coldchain.assignment
	FOR EACH ROW EXECUTE FUNCTION coldchain.assignment_step();

CREATE FUNCTION coldchain.assignment_alone() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	-- One device at a time, so that of two transactions the later one sees what the first has done.
	PERFORM pg_advisory_xact_lock('coldchain.assignment'::regclass::oid::int, new.device_id);
	IF EXISTS (SELECT FROM coldchain.assignment AS a WHERE a.device_id = new.device_id AND a.during && new.during
			AND a.assignment_id <> new.assignment_id
			AND (a.shipment_id <> new.shipment_id OR (a.probe = new.probe AND a.lot_id = new.lot_id))) THEN
		RAISE EXCEPTION 'the device is in another shipment, or watches that lot already, at that time' USING ERRCODE = 'exclusion_violation';
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION coldchain.assignment_alone() IS
	'Trigger: at any time a device is in one shipment at most, and a probe is assigned to a lot once. Otherwise 23P01.';
CREATE TRIGGER assignment_alone AFTER INSERT OR UPDATE OF during ON coldchain.assignment
	FOR EACH ROW EXECUTE FUNCTION coldchain.assignment_alone();

CREATE FUNCTION coldchain.shipment_judged() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	UPDATE coldchain.assignment AS a SET judged = coldchain.judged(a.during, a.shipment_id)
	FROM (SELECT b.assignment_id FROM coldchain.assignment AS b WHERE b.shipment_id = new.shipment_id ORDER BY b.device_id FOR NO KEY UPDATE) AS b
	WHERE a.assignment_id = b.assignment_id AND a.judged <> coldchain.judged(a.during, a.shipment_id);
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION coldchain.shipment_judged() IS 'Trigger: what is judged of the assignments of a shipment follows its times.';
CREATE TRIGGER shipment_judged AFTER UPDATE OF state, ignore_s, started_at, delivered_at, cancelled_at ON coldchain.shipment
	FOR EACH ROW EXECUTE FUNCTION coldchain.shipment_judged();

CREATE TRIGGER unchangeable BEFORE UPDATE OR DELETE OR TRUNCATE ON coldchain.assignment_version
	FOR EACH STATEMENT EXECUTE FUNCTION fleet.unchangeable();
CREATE TRIGGER unchangeable BEFORE UPDATE OR DELETE OR TRUNCATE ON coldchain.excursion_revision
	FOR EACH STATEMENT EXECUTE FUNCTION fleet.unchangeable();
CREATE TRIGGER undeletable BEFORE DELETE OR TRUNCATE ON coldchain.excursion
	FOR EACH STATEMENT EXECUTE FUNCTION fleet.unchangeable();
CREATE TRIGGER undeletable BEFORE DELETE OR TRUNCATE ON coldchain.assignment
	FOR EACH STATEMENT EXECUTE FUNCTION fleet.unchangeable();

-- ---- who may see and do what ----

DO $$
BEGIN
	PERFORM audit.watch('coldchain.product', 'product', NULL, '{revision}'), audit.watch('coldchain.profile', 'profile', '{code}'),
		audit.watch('coldchain.profile_version', 'profile_version', '{profile_id,version}'),
		audit.watch('coldchain.band', 'band', '{profile_version_id,code}'), audit.watch('coldchain.lane', 'lane'),
		audit.watch('coldchain.shipment', 'shipment', '{reference}', '{revision}'), audit.watch('coldchain.leg', 'leg'),
		audit.watch('coldchain.lot', 'lot', '{product_id,number}'), audit.watch('coldchain.shipment_lot', 'shipment_lot'),
		audit.watch('coldchain.assignment', 'assignment', NULL, '{judged}');
	PERFORM fleet.guard(target) FROM unnest(ARRAY['coldchain.assignment', 'coldchain.assignment_version', 'coldchain.excursion',
		'coldchain.excursion_revision']::regclass[]) AS target;
END
$$;

-- A shipment is seen by whoever sees one of its devices; one without devices by whoever sees all.
CREATE POLICY scope ON coldchain.shipment TO coldfleet_api_definer USING ((SELECT fleet.scope_all())
	OR EXISTS (SELECT FROM coldchain.assignment AS a WHERE a.shipment_id = shipment.shipment_id));
CREATE POLICY scope ON coldchain.leg TO coldfleet_api_definer USING ((SELECT fleet.scope_all())
	OR EXISTS (SELECT FROM coldchain.assignment AS a WHERE a.shipment_id = leg.shipment_id));
CREATE POLICY scope ON coldchain.shipment_lot TO coldfleet_api_definer USING ((SELECT fleet.scope_all())
	OR EXISTS (SELECT FROM coldchain.assignment AS a WHERE a.shipment_id = shipment_lot.shipment_id));
CREATE POLICY scope ON coldchain.lot TO coldfleet_api_definer USING ((SELECT fleet.scope_all())
	OR EXISTS (SELECT FROM coldchain.assignment AS a WHERE a.lot_id = lot.lot_id));
-- What a lot has been through may be from devices that the call does not see.
CREATE POLICY scope ON coldchain.exposure TO coldfleet_api_definer USING ((SELECT fleet.scope_all())
	OR EXISTS (SELECT FROM coldchain.assignment AS a WHERE a.lot_id = exposure.lot_id));
DO $$
DECLARE
	target regclass;
BEGIN
	FOREACH target IN ARRAY '{coldchain.shipment,coldchain.leg,coldchain.shipment_lot,coldchain.lot,coldchain.exposure}'::regclass[] LOOP
		EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', target);
		EXECUTE format('CREATE POLICY everything ON %s TO coldfleet_ingest, coldfleet_bridge, coldfleet_signer, coldfleet_analyst '
			       'USING (true) WITH CHECK (true)', target);
	END LOOP;
END
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA coldchain FROM PUBLIC;
GRANT USAGE ON SCHEMA coldchain TO coldfleet_api_definer, coldfleet_analyst;
GRANT SELECT ON coldchain.product, coldchain.profile, coldchain.profile_version, coldchain.band, coldchain.lane, coldchain.shipment,
	coldchain.leg, coldchain.lot, coldchain.shipment_lot, coldchain.assignment, coldchain.assignment_version, coldchain.excursion,
	coldchain.excursion_revision, coldchain.exposure TO coldfleet_api_definer, coldfleet_analyst;
GRANT INSERT ON coldchain.product, coldchain.profile, coldchain.profile_version, coldchain.band, coldchain.lane, coldchain.shipment,
	coldchain.leg, coldchain.lot, coldchain.shipment_lot, coldchain.assignment TO coldfleet_api_definer;
GRANT UPDATE ON coldchain.product, coldchain.profile, coldchain.shipment, coldchain.leg, coldchain.lot, coldchain.shipment_lot TO coldfleet_api_definer;
GRANT UPDATE (effective_to) ON coldchain.profile_version TO coldfleet_api_definer;
GRANT UPDATE (during, profile_version_id, role, sample_interval_s) ON coldchain.assignment TO coldfleet_api_definer;
GRANT EXECUTE ON FUNCTION coldchain.gtin_valid(text), coldchain.in_band(real, real, boolean, real, boolean)
	TO coldfleet_api_definer, coldfleet_analyst;

COMMIT;
