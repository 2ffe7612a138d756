-- SPDX-License-Identifier: Apache-2.0
-- Commands to trackers: what may be asked, who asked it of which devices, who approved it, where each command stands, and
-- the bytes that were signed. The life of a command is the table command.transition_rule; one trigger holds every change
-- against it, whoever makes the change, and writes the history.
BEGIN;

CREATE SCHEMA command AUTHORIZATION coldfleet_owner;
SET LOCAL ROLE coldfleet_owner;
COMMENT ON SCHEMA command IS 'Commands to trackers: requests, approvals, signatures, sending and replies.';

CREATE TABLE command.setting (
	only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
	epoch bigint NOT NULL DEFAULT 0 CHECK (epoch >= 0),
	take_again interval NOT NULL DEFAULT '10 s' CHECK (take_again > '0'),
	ack_timeout interval NOT NULL DEFAULT '5 s' CHECK (ack_timeout > '0'),
	result_timeout interval NOT NULL DEFAULT '1 h' CHECK (result_timeout > '0'),
	max_targets int NOT NULL DEFAULT 200000 CHECK (max_targets > 0),
	idle_replies int NOT NULL DEFAULT 200 CHECK (idle_replies >= 0)
);
INSERT INTO command.setting DEFAULT VALUES;
COMMENT ON TABLE command.setting IS 'How long commands wait for each other; one row.';
COMMENT ON COLUMN command.setting.only_one IS 'Keeps it one row.';
COMMENT ON COLUMN command.setting.epoch IS
	'Written into every command. Raised when counters could have gone back, as after a restore into the past; devices then take it anew.';
COMMENT ON COLUMN command.setting.take_again IS 'A command taken for signing this long ago and not signed is taken again.';
COMMENT ON COLUMN command.setting.ack_timeout IS
	'A sent command without any reply, and an accepted one without a result, is sent again after this time, which doubles with each try up '
	'to 64 times, 1024 times once accepted; when nobody listens, as soon as its device is heard. A later command of the device that is not '
	'urgent waits that long for the reply.';
COMMENT ON COLUMN command.setting.result_timeout IS 'An accepted command without a result expires this long after its expiry, or after the time that the device last had for it.';
COMMENT ON COLUMN command.setting.max_targets IS 'The most devices that one request may have.';
COMMENT ON COLUMN command.setting.idle_replies IS
	'How many replies of a tracker that change nothing are kept an hour; the others are only counted, so that none can fill the disk.';

CREATE TABLE command.operation (
	name text PRIMARY KEY,
	class smallint NOT NULL CHECK (class BETWEEN 1 AND 5),
	urgency smallint NOT NULL CHECK (urgency BETWEEN 1 AND 3),
	arguments jsonb NOT NULL CHECK (jsonb_typeof(arguments) = 'object'),
	lasts interval NOT NULL CHECK (lasts > '0'),
	help text NOT NULL CHECK (help <> '')
);
COMMENT ON TABLE command.operation IS 'What a tracker can be told to do, one row an operation.';
COMMENT ON COLUMN command.operation.name IS 'Its name, on the wire too.';
COMMENT ON COLUMN command.operation.class IS
	'1 reads, 2 configures, 3 disables or enables, 4 firmware, 5 keys. From 3 on somebody else than the requester must approve.';
COMMENT ON COLUMN command.operation.urgency IS 'Place in a device''s queue: 1 disable, 2 enable, 3 the others, which follow by class and time.';
COMMENT ON COLUMN command.operation.arguments IS
	'Its arguments by name: {type: text | int | object, required, words, min, max, pattern}; no other is taken.';
COMMENT ON COLUMN command.operation.lasts IS 'How long a command is worth carrying out when nobody says.';
COMMENT ON COLUMN command.operation.help IS 'What it does.';
INSERT INTO command.operation (name, class, urgency, lasts, arguments, help) VALUES
	('disable', 3, 1, '30 days', '{"mode": {"type": "text", "required": true, "words": ["radio-off", "halt"]},
		"until": {"type": "int", "min": 1, "max": 4102444800}}', 'the tracker stops sending, or measuring too, until it is enabled'),
	('enable', 3, 2, '30 days', '{}', 'undoes a disable'),
	('reboot', 2, 3, '1 day', '{}', 'the tracker starts anew'),
	('locate', 1, 3, '1 hour', '{}', 'the tracker says where it is'),
	('report-now', 1, 3, '1 hour', '{}', 'the tracker sends what it has measured'),
	('resend', 1, 3, '1 day', '{"epoch": {"type": "int", "min": 0, "max": 2147483647},
		"first": {"type": "int", "required": true, "min": 0, "max": 2147483647},
		"last": {"type": "int", "required": true, "min": 0, "max": 2147483647}}', 'the tracker sends samples from its flash again'),
	('set-config', 2, 3, '30 days', '{"version": {"type": "int", "required": true, "min": 1, "max": 2147483647},
		"config": {"type": "object", "required": true}}', 'the tracker works with this configuration'),
	('clear-config', 2, 3, '30 days', '{}', 'the tracker works with the configuration of its firmware'),
	('update-firmware', 4, 3, '7 days', '{"release": {"type": "text", "required": true, "pattern": "^[0-9a-f]{64}$"},
		"counter": {"type": "int", "min": 0, "max": 9007199254740991}, "version": {"type": "text", "pattern": "^[^[:cntrl:]]{1,64}$"}}',
		'the tracker installs the release with this SHA-256'),
	('rotate-key', 5, 3, '30 days', '{"list": {"type": "text", "required": true, "pattern": "^[A-Za-z0-9_-]+$"}}',
		'the tracker takes a newer list of keys'),
	('restore-defaults', 3, 3, '7 days', '{}', 'the tracker forgets what it was configured to');

CREATE TABLE command.request (
	request_id uuid PRIMARY KEY,
	operation text NOT NULL REFERENCES command.operation,
	class smallint NOT NULL,
	arguments jsonb NOT NULL CHECK (jsonb_typeof(arguments) = 'object'),
	not_before timestamptz NOT NULL,
	expires_at timestamptz NOT NULL,
	target jsonb NOT NULL,
	device_count int NOT NULL CHECK (device_count > 0),
	requested_at timestamptz NOT NULL DEFAULT now(),
	requested_by text NOT NULL,
	token_id int,
	reason text,
	shipment_override text,
	rate double precision CHECK (rate > 0),
	canonical bytea NOT NULL,
	request_sha256 bytea NOT NULL CHECK (request_sha256 = sha256(canonical)),
	state text NOT NULL CHECK (state IN ('awaiting_approval', 'active', 'paused', 'refused', 'cancelled')),
	open boolean NOT NULL DEFAULT true,
	releasing boolean NOT NULL DEFAULT false,
	tokens double precision NOT NULL DEFAULT 0,
	filled_at timestamptz NOT NULL DEFAULT now(),
	revision xid8 NOT NULL DEFAULT pg_current_xact_id(),
	UNIQUE (request_id, requested_by),
	CHECK (expires_at > not_before)
);
CREATE INDEX request_open ON command.request (expires_at) WHERE open;
CREATE INDEX request_releasing ON command.request (not_before) WHERE releasing;
COMMENT ON TABLE command.request IS 'What somebody asked to be done, one row a request; a command each of its devices.';
COMMENT ON COLUMN command.request.request_id IS 'Its number, a UUID of version 7.';
COMMENT ON COLUMN command.request.operation IS 'What the devices are to do.';
COMMENT ON COLUMN command.request.class IS 'Class of the operation.';
COMMENT ON COLUMN command.request.arguments IS 'Arguments of the operation.';
COMMENT ON COLUMN command.request.not_before IS 'No device does it before, in whole seconds.';
COMMENT ON COLUMN command.request.expires_at IS 'No device begins it after, in whole seconds.';
COMMENT ON COLUMN command.request.target IS 'How the devices were named: {"serials": n}, {"group": name} or {"filter": {...}}. command.target has them.';
COMMENT ON COLUMN command.request.device_count IS 'How many devices.';
COMMENT ON COLUMN command.request.requested_at IS 'When it was asked for.';
COMMENT ON COLUMN command.request.requested_by IS 'Who asked: the name of a token or the subject of an access token.';
COMMENT ON COLUMN command.request.token_id IS 'The token that asked; NULL: another proof.';
COMMENT ON COLUMN command.request.reason IS 'Why; NULL: not said.';
COMMENT ON COLUMN command.request.shipment_override IS 'The active shipment that is put up with; NULL: none.';
COMMENT ON COLUMN command.request.rate IS 'At most so many devices a second; NULL: as fast as it goes.';
COMMENT ON COLUMN command.request.canonical IS 'command.canonical() of it: the bytes that an approval is about.';
COMMENT ON COLUMN command.request.request_sha256 IS 'SHA-256 of canonical.';
COMMENT ON COLUMN command.request.state IS
	'awaiting_approval; active: its commands go their way; paused: those that are not sent are held; refused or cancelled: those that '
	'were not sent never will be.';
COMMENT ON COLUMN command.request.open IS 'May any of its commands still change without a reply? False after the last one ended.';
COMMENT ON COLUMN command.request.releasing IS 'Has it commands that wait for not_before or for the rate?';
COMMENT ON COLUMN command.request.tokens IS 'With a rate: how many devices may go now, as of filled_at.';
COMMENT ON COLUMN command.request.filled_at IS 'When tokens was computed.';
COMMENT ON COLUMN command.request.revision IS 'The transaction that last changed it; its ETag.';

CREATE TABLE command.target (
	request_id uuid NOT NULL REFERENCES command.request,
	device_id int NOT NULL REFERENCES fleet.device,
	PRIMARY KEY (request_id, device_id)
);
-- Here and not at the commands: what never changes is indexed once.
CREATE INDEX target_device ON command.target (device_id, request_id);
COMMENT ON TABLE command.target IS 'The devices of a request, as they were when it was made: what is approved is what was shown.';
COMMENT ON COLUMN command.target.request_id IS 'The request.';
COMMENT ON COLUMN command.target.device_id IS 'The device.';

CREATE TABLE command.approval (
	approval_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	request_id uuid NOT NULL,
	requester text NOT NULL,
	approver text NOT NULL,
	decision text NOT NULL CHECK (decision IN ('approved', 'refused')),
	request_sha256 bytea NOT NULL CHECK (octet_length(request_sha256) = 32),
	at timestamptz NOT NULL DEFAULT now(),
	reason text,
	FOREIGN KEY (request_id, requester) REFERENCES command.request (request_id, requested_by),
	UNIQUE (request_id, request_sha256),
	CONSTRAINT approver_is_not_the_requester CHECK (approver <> requester)
);
COMMENT ON TABLE command.approval IS
	'What somebody else than the requester decided on a request as it then was, once each state of the request. Only ever added to.';
COMMENT ON COLUMN command.approval.approval_id IS 'Number of the decision.';
COMMENT ON COLUMN command.approval.request_id IS 'The request.';
COMMENT ON COLUMN command.approval.requester IS 'Who made the request.';
COMMENT ON COLUMN command.approval.approver IS 'Who decided: never the requester.';
COMMENT ON COLUMN command.approval.decision IS 'approved or refused.';
COMMENT ON COLUMN command.approval.request_sha256 IS 'request_sha256 of what was decided on. Of no worth for a request with another one.';
COMMENT ON COLUMN command.approval.at IS 'When.';
COMMENT ON COLUMN command.approval.reason IS 'Why; NULL: not said.';

-- Whoever moves commands of a device through its queue holds this row.
CREATE TABLE command.device (
	device_id int PRIMARY KEY REFERENCES fleet.device
);
COMMENT ON TABLE command.device IS
	'Devices that ever had a command. Whoever changes commands of a device holds its row, rows by rising number.';
COMMENT ON COLUMN command.device.device_id IS 'The device.';

CREATE SEQUENCE command.counter;
COMMENT ON SEQUENCE command.counter IS
	'Counters of commands, over all devices: so those of a device rise strictly, with gaps, and giving one costs no row.';

CREATE TABLE command.command (
	command_id uuid PRIMARY KEY,
	request_id uuid NOT NULL,
	requested_at timestamptz NOT NULL,
	expires_at timestamptz NOT NULL,
	retry_at timestamptz NOT NULL DEFAULT 'infinity',
	since timestamptz NOT NULL DEFAULT now(),
	taken_at timestamptz,
	sent_at timestamptz,
	ended_at timestamptz,
	counter bigint,
	switched bigint,
	device_id int NOT NULL,
	generation int NOT NULL DEFAULT 0,
	sends int NOT NULL DEFAULT 0,
	class smallint NOT NULL,
	urgency smallint NOT NULL,
	late boolean NOT NULL DEFAULT false,
	state text NOT NULL CHECK (state IN ('awaiting_approval', 'approved', 'refused', 'signed', 'waiting', 'sent', 'accepted',
		'succeeded', 'failed', 'rejected', 'expired', 'cancelled')),
	place text CHECK (place IN ('held', 'queued', 'front', 'ready', 'wire')),
	operation text NOT NULL,
	detail text,
	FOREIGN KEY (request_id, device_id) REFERENCES command.target,
	UNIQUE (request_id, device_id),
	CHECK (CASE state WHEN 'awaiting_approval' THEN place = 'held' WHEN 'approved' THEN place IN ('held', 'queued', 'front')
		WHEN 'signed' THEN place = 'ready' WHEN 'waiting' THEN place = 'ready' WHEN 'sent' THEN place = 'wire'
		WHEN 'accepted' THEN place = 'wire' ELSE place IS NULL END IS TRUE),
	CHECK ((state IN ('sent', 'accepted')) <= (sent_at IS NOT NULL AND counter IS NOT NULL)),
	CHECK ((state IN ('signed', 'waiting')) <= (counter IS NOT NULL))
) WITH (fillfactor = 60);
-- No predicate names the state, so a change of it alone stays on its page.
CREATE UNIQUE INDEX command_one_at_the_front ON command.command (device_id) WHERE place IN ('front', 'ready');
CREATE INDEX command_front ON command.command (urgency, class, requested_at, command_id) WHERE place = 'front';
CREATE INDEX command_ready ON command.command (retry_at) WHERE place IN ('ready', 'wire') AND retry_at < 'infinity';
CREATE INDEX command_open ON command.command (device_id, urgency, class, requested_at, command_id) WHERE place IS NOT NULL;
CREATE INDEX command_switched ON command.command (device_id, switched) WHERE switched IS NOT NULL;
COMMENT ON TABLE command.command IS 'One row a device of a request: where its command stands.';
COMMENT ON COLUMN command.command.command_id IS 'Its number, a UUID of version 7, on the wire too.';
COMMENT ON COLUMN command.command.request_id IS 'The request that it belongs to.';
COMMENT ON COLUMN command.command.requested_at IS 'When it was asked for.';
COMMENT ON COLUMN command.command.expires_at IS 'The device does not begin it after this.';
COMMENT ON COLUMN command.command.retry_at IS
	'signed: since when it can be sent, or until when it lets an earlier one of its device be answered; sent or accepted: when to look '
	'whether it has been answered. infinity: only its device being heard '
	'moves it on, and then this is -infinity.';
COMMENT ON COLUMN command.command.since IS
	'waiting, or sent and now known to have nobody who listens: since when; else, sent or accepted: when the time for a reply, or the '
	'result, is over and it is sent again.';
COMMENT ON COLUMN command.command.taken_at IS 'When it was taken for signing; NULL: not, or given back.';
COMMENT ON COLUMN command.command.sent_at IS 'When it first may have been on the wire; NULL: surely never.';
COMMENT ON COLUMN command.command.ended_at IS 'When it reached its last state; NULL: it has not.';
COMMENT ON COLUMN command.command.counter IS 'Counter that it was signed with; NULL: not yet, or the signature is void.';
COMMENT ON COLUMN command.command.switched IS 'Its counter when it is a disable or enable that succeeded; the highest of a device is its truth.';
COMMENT ON COLUMN command.command.device_id IS 'The device.';
COMMENT ON COLUMN command.command.generation IS 'Raised whenever it is taken for signing, sent, or its signature is void; a call that names an older one changes nothing.';
COMMENT ON COLUMN command.command.sends IS 'How often it may have been on the wire.';
COMMENT ON COLUMN command.command.class IS 'Class of the operation.';
COMMENT ON COLUMN command.command.urgency IS 'Urgency of the operation.';
COMMENT ON COLUMN command.command.late IS 'Did the device say so only after the command had been given up?';
COMMENT ON COLUMN command.command.state IS
	'awaiting_approval, approved, refused, signed, waiting (for its device), sent (it may be on the wire), accepted, succeeded, failed, '
	'rejected (by the device), expired, cancelled. requested is the moment before the first of these: no row rests in it.';
COMMENT ON COLUMN command.command.place IS
	'held: not yet to go (approval, pause, not_before, rate); queued: behind others of its device; front: to be signed next; ready: '
	'signed, to be sent; wire: sent, without a result; NULL: ended. A device has one at the front or ready.';
COMMENT ON COLUMN command.command.operation IS 'What the device is to do.';
COMMENT ON COLUMN command.command.detail IS 'Why it is in its state, in words; NULL: as usual.';

CREATE TABLE command.message (
	command_id uuid NOT NULL,
	counter bigint NOT NULL,
	signed_at timestamptz NOT NULL DEFAULT now(),
	kid bytea NOT NULL CHECK (octet_length(kid) = 8),
	message bytea NOT NULL CHECK (octet_length(message) BETWEEN 1 AND 65536),
	PRIMARY KEY (command_id, counter)
);
ALTER TABLE command.message ALTER COLUMN message SET STORAGE EXTERNAL; -- signatures do not compress
COMMENT ON TABLE command.message IS
	'What was signed, byte for byte; a command that gave way to a more urgent one has several, of which the last counts. Only ever added to.';
COMMENT ON COLUMN command.message.command_id IS 'The command.';
COMMENT ON COLUMN command.message.counter IS 'The counter in it.';
COMMENT ON COLUMN command.message.signed_at IS 'When it was stored.';
COMMENT ON COLUMN command.message.kid IS 'Key id of the key that signed it, 8 bytes.';
COMMENT ON COLUMN command.message.message IS 'COSE_Sign1.';

CREATE TABLE command.history (
	history_id bigint GENERATED ALWAYS AS IDENTITY,
	command_id uuid NOT NULL,
	device_id int NOT NULL,
	at timestamptz NOT NULL DEFAULT clock_timestamp(),
	from_state text NOT NULL,
	to_state text NOT NULL,
	generation int NOT NULL,
	who text NOT NULL,
	detail text,
	PRIMARY KEY (command_id, history_id)
);
COMMENT ON TABLE command.history IS 'Every change of a command''s state, and every sending. Added to by a trigger alone, never changed.';
COMMENT ON COLUMN command.history.history_id IS 'Rises with time.';
COMMENT ON COLUMN command.history.command_id IS 'The command.';
COMMENT ON COLUMN command.history.device_id IS 'Its device.';
COMMENT ON COLUMN command.history.at IS 'When, by our clock.';
COMMENT ON COLUMN command.history.from_state IS 'The state before; requested for a new command.';
COMMENT ON COLUMN command.history.to_state IS 'The state since.';
COMMENT ON COLUMN command.history.generation IS 'Generation of the command after the change.';
COMMENT ON COLUMN command.history.who IS 'Who: a person or token where one asked, else the role of the program.';
COMMENT ON COLUMN command.history.detail IS 'Why, in words; NULL: as usual.';

CREATE TABLE command.reply (
	reply_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	received_at timestamptz NOT NULL,
	serial text NOT NULL,
	device_id int,
	command_id uuid,
	counter bigint,
	generation bigint,
	boot_count bigint,
	device_time timestamptz,
	status text,
	verdict text NOT NULL CHECK (verdict IN ('applied', 'repeated', 'contradicts', 'unexpected', 'foreign', 'unknown', 'unreadable')),
	reason text,
	result jsonb,
	raw bytea NOT NULL
);
CREATE INDEX reply_command ON command.reply (command_id, reply_id);
COMMENT ON TABLE command.reply IS
	'Every reply that changed something, and of those that did not as many of a tracker and hour as command.setting.idle_replies says. Only ever added to.';
COMMENT ON COLUMN command.reply.reply_id IS 'Number of the reply.';
COMMENT ON COLUMN command.reply.received_at IS 'When it came, by our clock.';
COMMENT ON COLUMN command.reply.serial IS 'The device whose topic it came on.';
COMMENT ON COLUMN command.reply.device_id IS 'That device; NULL: not known.';
COMMENT ON COLUMN command.reply.command_id IS 'The command that it names; NULL: unreadable.';
COMMENT ON COLUMN command.reply.counter IS 'The counter that it names.';
COMMENT ON COLUMN command.reply.generation IS 'The sending that it names; NULL: none.';
COMMENT ON COLUMN command.reply.boot_count IS 'How often the device had started; NULL: not said.';
COMMENT ON COLUMN command.reply.device_time IS 'The device''s clock; NULL: not said.';
COMMENT ON COLUMN command.reply.status IS 'accepted, succeeded, failed or rejected; NULL: unreadable.';
COMMENT ON COLUMN command.reply.verdict IS
	'applied: the command changed its state; repeated: it said so already; contradicts: another result stands; unexpected: the command '
	'was never signed with this counter, or is not at the device; foreign: it is another device''s; unknown: there is none; unreadable.';
COMMENT ON COLUMN command.reply.reason IS 'Why, in the device''s words, or why it is unreadable.';
COMMENT ON COLUMN command.reply.result IS 'What the device returned.';
COMMENT ON COLUMN command.reply.raw IS 'The reply byte for byte.';

CREATE TABLE command.idle_reply (
	serial text PRIMARY KEY,
	hour timestamptz NOT NULL,
	many int NOT NULL CHECK (many > 0)
) WITH (fillfactor = 50);
COMMENT ON TABLE command.idle_reply IS
	'Trackers whose replies changed nothing, one row each: how many in the last such hour. Those beyond command.setting.idle_replies are not kept.';
COMMENT ON COLUMN command.idle_reply.serial IS 'The tracker whose topic they came on.';
COMMENT ON COLUMN command.idle_reply.hour IS 'When the hour began.';
COMMENT ON COLUMN command.idle_reply.many IS 'How many came in it.';

CREATE TABLE command.transition_rule (
	from_state text NOT NULL,
	to_state text NOT NULL,
	who text NOT NULL,
	condition text,
	PRIMARY KEY (from_state, to_state, who)
);
COMMENT ON TABLE command.transition_rule IS
	'Every change of a command''s state that there is; all others are refused, to everybody. Nobody but a migration changes it.';
COMMENT ON COLUMN command.transition_rule.from_state IS 'The state before; requested: the command is made.';
COMMENT ON COLUMN command.transition_rule.to_state IS 'The state after.';
COMMENT ON COLUMN command.transition_rule.who IS 'The role that the program runs under which may change it so.';
COMMENT ON COLUMN command.transition_rule.condition IS 'What must hold of o, the row before (NULL for a new one), and n, the row after; NULL: nothing.';
INSERT INTO command.transition_rule (from_state, to_state, who, condition)
SELECT from_state, to_state, 'coldfleet_' || who, condition
FROM (VALUES
	('{requested}', '{awaiting_approval}', '{api}', 'n.class >= 3'),
	('{requested}', '{approved}', '{api}', 'n.class < 3'),
	('{awaiting_approval}', '{approved}', '{api}', 'command.decided(n.request_id, ''approved'')'),
	('{awaiting_approval}', '{refused}', '{api}', 'command.decided(n.request_id, ''refused'')'),
	('{approved}', '{refused}', '{signer}', 'n.detail <> '''''),
	('{approved}', '{signed}', '{signer}', 'EXISTS (SELECT FROM command.message AS m WHERE m.command_id = n.command_id AND m.counter = n.counter)'),
	('{signed,waiting}', '{sent}', '{bridge}', 'n.generation > o.generation AND n.expires_at > now()'),
	-- Of a command that was sent more than once, an earlier sending may have arrived.
	('{sent}', '{waiting}', '{bridge}', 'n.sends = 0 AND n.sent_at IS NULL'),
	-- Its request was cancelled while it was on its way to nobody.
	('{sent}', '{cancelled}', '{bridge}', 'n.sends = 0 AND n.sent_at IS NULL'),
	('{sent}', '{sent}', '{bridge}', 'n.generation > o.generation AND n.sends > o.sends'),
	-- What the device said of its end was lost: it is asked again, and what it once said stays said.
	('{accepted}', '{accepted}', '{bridge}', 'n.generation > o.generation AND n.sends > o.sends'),
	-- It gives way to a more urgent one, or is held.
	('{sent}', '{approved}', '{bridge}', 'n.generation > o.generation AND n.counter IS NULL AND n.sends = 0'),
	('{signed,waiting}', '{approved}', '{api,bridge}', 'n.generation > o.generation AND n.counter IS NULL AND n.sends = 0'),
	('{awaiting_approval,approved,signed,waiting}', '{cancelled}', '{api}', 'n.sends = 0'),
	('{awaiting_approval,approved,signed,waiting,sent}', '{expired}', '{bridge}', 'n.expires_at <= now()'),
	('{accepted}', '{expired}', '{bridge}', 'n.expires_at <= now() AND n.detail <> '''''),
	('{waiting,sent}', '{accepted,succeeded,failed,rejected}', '{bridge}', NULL),
	('{accepted}', '{succeeded,failed,rejected}', '{bridge}', NULL),
	-- A device that answers had it, whatever was believed here.
	('{expired,cancelled}', '{accepted,succeeded,failed,rejected}', '{bridge}', 'n.late AND n.counter IS NOT NULL')
) AS r (from_states, to_states, whos, condition)
CROSS JOIN LATERAL unnest(from_states::text[]) AS from_state
CROSS JOIN LATERAL unnest(to_states::text[]) AS to_state
CROSS JOIN LATERAL unnest(whos::text[]) AS who;

CREATE FUNCTION command.canonical(operation text, class int, arguments jsonb, not_before timestamptz, expires_at timestamptz, serials text[],
				  shipment_override text) RETURNS bytea
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT convert_to((jsonb_build_object('operation', operation, 'class', class, 'arguments', arguments,
		'not_before', extract(epoch FROM not_before)::bigint, 'expires_at', extract(epoch FROM expires_at)::bigint,
		'shipment_override', shipment_override, 'device_count', cardinality(serials))
		|| CASE WHEN cardinality(serials) <= 1000 THEN jsonb_build_object('serials', s.sorted)
			ELSE jsonb_build_object('serials_sha256', encode(sha256(convert_to(array_to_string(s.sorted, E'\n'), 'UTF8')), 'hex')) END)::text,
		'UTF8')
	FROM (SELECT array_agg(u ORDER BY u COLLATE "C") AS sorted FROM unnest(serials) AS u) AS s
$$;
COMMENT ON FUNCTION command.canonical(text, int, jsonb, timestamptz, timestamptz, text[], text) IS
	'What an approval is about, as JSON in UTF-8: operation, class, arguments, not_before and expires_at in Unix seconds, shipment_override, '
	'device_count, and serials in the order of their bytes, or for more than 1,000 serials_sha256: SHA-256 in hexadecimal of the sorted '
	'serials with a line feed between two.';

CREATE FUNCTION command.new_id() RETURNS uuid
LANGUAGE sql VOLATILE
AS $$
	SELECT encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) PLACING
		substr(int8send(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint), 3) FROM 1 FOR 6), 52, 1), 53, 1), 'hex')::uuid
$$;
COMMENT ON FUNCTION command.new_id() IS 'A new UUID of version 7 (RFC 9562): milliseconds since 1970, then random bits.';

CREATE FUNCTION command.active_shipment(device_id int) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT NULL::text WHERE device_id IS NOT NULL
$$;
COMMENT ON FUNCTION command.active_shipment(int) IS 'The shipment that the device is watching over now, by name; NULL: none, or none is known here.';

CREATE FUNCTION command.argument_error(name text, rule jsonb, value jsonb) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT 'arguments.' || name || ': expected ' || CASE
		WHEN rule IS NULL THEN 'no such argument'
		WHEN value IS NULL THEN CASE WHEN rule @> '{"required": true}' THEN 'it' END
		WHEN rule ->> 'type' = 'int' AND (jsonb_typeof(value) <> 'number' OR value #>> '{}' !~ '^-?[0-9]+$'
			OR (value #>> '{}')::numeric NOT BETWEEN (rule ->> 'min')::numeric AND (rule ->> 'max')::numeric)
			THEN format('a whole number from %s to %s', rule ->> 'min', rule ->> 'max')
		WHEN rule ->> 'type' = 'object' AND jsonb_typeof(value) <> 'object' THEN 'an object'
		WHEN rule ->> 'type' = 'text' AND (jsonb_typeof(value) <> 'string' OR rule ? 'words' AND NOT rule -> 'words' @> value
			OR value #>> '{}' !~ (rule ->> 'pattern'))
			THEN coalesce((SELECT string_agg(w, ' or ') FROM jsonb_array_elements_text(rule -> 'words') AS w),
				'text like ' || (rule ->> 'pattern')) END
$$;
COMMENT ON FUNCTION command.argument_error(text, jsonb, jsonb) IS
	'What is wrong with an argument, and what was expected; NULL: nothing. Rules as in command.operation.';

CREATE FUNCTION command.decided(request uuid, decision text) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT EXISTS (SELECT FROM command.approval AS a JOIN command.request AS r USING (request_id, request_sha256)
		WHERE r.request_id = request AND a.decision = decided.decision)
$$;
COMMENT ON FUNCTION command.decided(uuid, text) IS 'Did somebody decide so on the request as it is now?';

CREATE FUNCTION command.one_hand(one text, other text) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	WITH RECURSIVE hand (held, name) AS (
		VALUES (one, one), (other, other)
		UNION SELECT h.held, t.created_by FROM hand AS h JOIN fleet.token AS t ON t.name = h.name WHERE t.created_by IS NOT NULL)
	SELECT EXISTS (SELECT FROM hand AS h WHERE (h.held, h.name) IN ((one, other), (other, one)))
$$;
COMMENT ON FUNCTION command.one_hand(text, text) IS
	'Are these two names one, or was a token of the one made by the other over REST, or by whom he made a token for, however often? Also of '
	'tokens that are revoked.';

CREATE FUNCTION command.four_eyes() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF new.decision = 'approved' AND new.approver <> new.requester AND command.one_hand(new.requester, new.approver) THEN
		RAISE EXCEPTION 'request % was made by %, and the token of one of you was made by the other: somebody else approves it', new.request_id,
			new.requester USING ERRCODE = 'CF403';
	END IF;
	RETURN new;
END
$$;
COMMENT ON FUNCTION command.four_eyes() IS 'Trigger: refuses an approval with a token that the requester made, or of what was asked with a token that the approver made.';
CREATE TRIGGER four_eyes BEFORE INSERT ON command.approval FOR EACH ROW EXECUTE FUNCTION command.four_eyes();

CREATE FUNCTION command.program() RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT coalesce(nullif(current_setting('role'), 'none'), session_user)
$$;
COMMENT ON FUNCTION command.program() IS
	'The role that the session runs under, also within functions that run as another one: whose program is at work.';

CREATE FUNCTION command.transit() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- The plan is kept from a first call of any size; a nested loop over thousands of changed rows would take minutes.
SET enable_nestloop = off
SET enable_hashjoin = on
SET plan_cache_mode = force_generic_plan
SET jit = off
AS $$
DECLARE
	its_program CONSTANT text := command.program();
	change record;
	rule record;
	held boolean;
BEGIN
	FOR change IN
		SELECT o.state AS from_state, n.state AS to_state, count(*) AS many, r.condition, r.who, min(n.command_id::text) AS one
		FROM was AS o JOIN became AS n USING (command_id)
		LEFT JOIN command.transition_rule AS r ON r.from_state = o.state AND r.to_state = n.state AND r.who = its_program
		WHERE o.state <> n.state OR o.sends < n.sends GROUP BY 1, 2, 4, 5
	LOOP
		IF change.who IS NULL THEN
			RAISE EXCEPTION 'command %: % does not become % by %', change.one, change.from_state, change.to_state, its_program
				USING ERRCODE = 'integrity_constraint_violation';
		END IF;
		IF change.condition IS NOT NULL THEN
			EXECUTE format('SELECT bool_and(coalesce(%s, false)) FROM was AS o JOIN became AS n USING (command_id) '
				'WHERE o.state = $1 AND n.state = $2 AND (o.state <> n.state OR o.sends < n.sends)', change.condition) INTO held USING change.from_state, change.to_state;
			IF NOT held THEN
				RAISE EXCEPTION 'command %: % becomes % only if %', change.one, change.from_state, change.to_state, change.condition
					USING ERRCODE = 'integrity_constraint_violation';
			END IF;
		END IF;
	END LOOP;
	INSERT INTO command.history (command_id, device_id, from_state, to_state, generation, who, detail)
	SELECT n.command_id, n.device_id, o.state, n.state, n.generation, coalesce(fleet.setting('actor'), its_program), n.detail
	FROM was AS o JOIN became AS n USING (command_id) WHERE o.state <> n.state OR o.sends < n.sends;
	-- Listeners are told what somebody did or a device said; a signature tells them nothing.
	INSERT INTO fleet.event (type, device_id, body)
	SELECT 'command', n.device_id, jsonb_build_object('id', n.command_id, 'request_id', n.request_id, 'operation', n.operation,
		'state', n.state, 'was', o.state, 'late', n.late, 'detail', n.detail)
	FROM was AS o JOIN became AS n USING (command_id) WHERE o.state <> n.state AND n.state <> 'signed';
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION command.transit() IS
	'Trigger: holds changes of state against command.transition_rule, refuses those that are not in it (23000), writes the history, and '
	'tells listeners.';

CREATE FUNCTION command.begun() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
DECLARE
	its_program CONSTANT text := command.program();
	change record;
	held boolean;
BEGIN
	FOR change IN
		SELECT n.state AS to_state, r.condition, r.who, min(n.command_id::text) AS one FROM became AS n
		LEFT JOIN command.transition_rule AS r ON r.from_state = 'requested' AND r.to_state = n.state AND r.who = its_program
		GROUP BY 1, 2, 3
	LOOP
		EXECUTE format('SELECT bool_and(coalesce(%s, false)) FROM became AS n WHERE n.state = $1',
			CASE WHEN change.who IS NULL THEN 'false' ELSE coalesce(change.condition, 'true') END) INTO held USING change.to_state;
		IF NOT held THEN
			RAISE EXCEPTION 'command %: requested does not become % by %', change.one, change.to_state, its_program
				USING ERRCODE = 'integrity_constraint_violation';
		END IF;
	END LOOP;
	INSERT INTO command.history (command_id, device_id, from_state, to_state, generation, who, detail)
	SELECT n.command_id, n.device_id, 'requested', n.state, n.generation, coalesce(fleet.setting('actor'), its_program), n.detail
	FROM became AS n;
	INSERT INTO fleet.event (type, device_id, body)
	SELECT 'command', n.device_id, jsonb_build_object('id', n.command_id, 'request_id', n.request_id, 'operation', n.operation,
		'state', n.state, 'was', NULL, 'late', false, 'detail', NULL)
	FROM became AS n;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION command.begun() IS 'Trigger: what command.transit() does, for new commands, which come out of the state requested.';
CREATE TRIGGER transit AFTER UPDATE ON command.command REFERENCING OLD TABLE AS was NEW TABLE AS became
	FOR EACH STATEMENT EXECUTE FUNCTION command.transit();
CREATE TRIGGER begun AFTER INSERT ON command.command REFERENCING NEW TABLE AS became
	FOR EACH STATEMENT EXECUTE FUNCTION command.begun();

CREATE FUNCTION command.keep() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	RAISE EXCEPTION 'command.%: rows are never removed', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END
$$;
COMMENT ON FUNCTION command.keep() IS 'Trigger: refuses to remove commands and requests, to the owner too.';

DO $$
DECLARE
	target regclass;
BEGIN
	FOREACH target IN ARRAY ARRAY['command.history', 'command.approval', 'command.reply', 'command.message', 'command.target']::regclass[] LOOP
		EXECUTE format('CREATE TRIGGER unchangeable BEFORE UPDATE OR DELETE OR TRUNCATE ON %s '
			       'FOR EACH STATEMENT EXECUTE FUNCTION fleet.unchangeable()', target);
	END LOOP;
	FOREACH target IN ARRAY ARRAY['command.command', 'command.request', 'command.device']::regclass[] LOOP
		EXECUTE format('CREATE TRIGGER keep BEFORE DELETE OR TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION command.keep()', target);
	END LOOP;
	-- Requests and commands are recorded by what is done with them; what they are held against, by whoever changes it.
	PERFORM audit.watch('command.operation', 'command operation'), audit.watch('command.transition_rule', 'command rule'),
		audit.watch('command.setting', 'command setting');
	PERFORM fleet.guard(of) FROM unnest(ARRAY['command.target', 'command.device', 'command.command', 'command.history', 'command.reply']::regclass[]) AS of;
END
$$;
-- A request is seen by whoever sees one of its devices.
ALTER TABLE command.request ENABLE ROW LEVEL SECURITY;
CREATE POLICY scope ON command.request TO coldfleet_api_definer USING ((SELECT fleet.scope_all()) OR EXISTS (
	SELECT FROM command.target AS t WHERE t.request_id = request.request_id)) WITH CHECK (true);
CREATE POLICY everything ON command.request TO coldfleet_bridge, coldfleet_signer, coldfleet_analyst USING (true);

INSERT INTO fleet.event_type (type, meaning) VALUES ('command', 'A command to a device was made or stands elsewhere in its life.');

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA command FROM PUBLIC;
GRANT USAGE ON SCHEMA command TO coldfleet_bridge, coldfleet_signer, coldfleet_analyst, coldfleet_api_definer;
GRANT SELECT ON command.request, command.target, command.approval TO coldfleet_signer;
GRANT EXECUTE ON FUNCTION command.canonical(text, int, jsonb, timestamptz, timestamptz, text[], text), command.new_id(),
	command.active_shipment(int), command.argument_error(text, jsonb, jsonb), command.decided(uuid, text), command.program()
	TO coldfleet_api_definer;
GRANT SELECT ON command.operation, command.request, command.target, command.approval, command.device, command.command, command.history,
	command.reply, command.setting TO coldfleet_api_definer;
GRANT INSERT ON command.request, command.target, command.approval, command.device, command.command TO coldfleet_api_definer;
GRANT UPDATE (arguments, not_before, expires_at, shipment_override, canonical, request_sha256, state, open, releasing, tokens, filled_at,
	revision) ON command.request TO coldfleet_api_definer;
GRANT UPDATE (expires_at, retry_at, taken_at, ended_at, counter, generation, state, place, detail) ON command.command TO coldfleet_api_definer;
GRANT SELECT ON command.operation, command.request, command.target, command.approval, command.command, command.history, command.reply,
	command.idle_reply, command.transition_rule TO coldfleet_analyst;
-- Not the bytes: those of a command that was not sent are an order to its device, for whoever can reach it.
GRANT SELECT (command_id, counter, signed_at, kid) ON command.message TO coldfleet_analyst, coldfleet_api_definer;

COMMIT;
