# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The demo as a set of parts: postgres, broker, ingest, bridge, signer, notify, api, trackers, each with a way to start and to stop. All that a
# run chose (ports, folders, fleet) is remembered in $STATE/settings, so any later command finds and ends it.

PARTS="postgres broker ingest bridge signer notify api trackers"
SETTINGS="RUN_DIR PG_DATA API_PORT MQTT_PORT INGEST_MONITOR BRIDGE_MONITOR SIGNER_MONITOR NOTIFY_MONITOR API_MONITOR TRACKERS INTERVAL BACKFILL PRESET SOURCE RING_DIR RING SHARE_GROUP REPLY_GROUP
	PARTS"
MARK=.coldfleet-demo

settings_write() {
	local name
	for name in $SETTINGS; do
		printf '%s=%q\n' "$name" "${!name:-}"
	done >"$STATE/settings.new"
	mv "$STATE/settings.new" "$STATE/settings"
}

settings_read() {
	[ -f "$STATE/settings" ] || return 1
	# shellcheck disable=SC1091
	. "$STATE/settings"
	BIN=$ROOT/build/$PRESET/bin
	pg_find_programs
}

# A state folder of ours. Only a folder that a demo made is ever cleared.
state_create() {
	if [ -d "$STATE" ] && [ ! -e "$STATE/$MARK" ] && [ -n "$(ls -A "$STATE")" ]; then
		die "$STATE is not empty and was not made by ops/demo; choose another --dir"
	fi
	mkdir -p "$STATE"
	touch "$STATE/$MARK"
}

state_clear() {
	find "$STATE" -mindepth 1 -maxdepth 1 ! -name "$MARK" ! -name lock ! -name log -exec rm -rf -- {} +
}

# Unix-socket paths have room for 107 bytes, so sockets live in a short folder of their own.
choose_settings() {
	local fixed=no
	[ "$STATE" != "$ROOT/var/demo" ] || fixed=yes
	RUN_DIR=$(mktemp -d /tmp/coldfleet-XXXXXXXX)
	chmod 0711 "$RUN_DIR"
	settings_write
	if [ "$SOURCE" = ring ]; then
		RING_DIR=$(mktemp -d "$(ring_place)/coldfleet-XXXXXXXX")
		RING=$RING_DIR/telemetry
		settings_write
	fi
	API_PORT=$(port_choose "$(prefer "$fixed" 8470)")
	MQTT_PORT=$(port_choose "$(prefer "$fixed" 8883)" "$API_PORT")
	INGEST_MONITOR=$(port_choose "$(prefer "$fixed" 9641)" "$MQTT_PORT")
	API_MONITOR=$(port_choose "$(prefer "$fixed" 9642)" "$INGEST_MONITOR")
	BRIDGE_MONITOR=$(port_choose "$(prefer "$fixed" 9643)" "$API_MONITOR")
	SIGNER_MONITOR=$(port_choose "$(prefer "$fixed" 9644)" "$BRIDGE_MONITOR")
	NOTIFY_MONITOR=$(port_choose "$(prefer "$fixed" 9645)" "$SIGNER_MONITOR")
	# A member of a shared subscription takes messages away from the others, and this broker lets anyone join a group
	# whose name it knows: nobody outside does.
	SHARE_GROUP=ingest-$(random_hex 16)
	REPLY_GROUP=bridge-$(random_hex 16)
	pg_choose_place
	settings_write
}

# A memory file system, where there is one: the ring's pages are never to be written to a disk.
ring_place() {
	if [ -d /dev/shm ] && [ -w /dev/shm ]; then
		echo /dev/shm
	else
		echo /tmp
	fi
}

prefer() {
	[ "$1" = no ] || printf '%s\n' "$2"
}

certificates_create() {
	"$BIN/coldfleet-tracker" mint --dir "$STATE/certs" --ca-only --server localhost >/dev/null
}

# The key that commands are signed with, and the one that witnesses the audit trail. Trackers leave the factory with the
# public half of the first.
keys_create() {
	local name
	mkdir -p "$STATE/secrets"
	for name in command audit; do
		"$BIN/coldfleet-keys" make "$STATE/secrets/$name.key"
		"$BIN/coldfleet-keys" show "$STATE/secrets/$name.key" | sed -n '/^-----BEGIN/,$p' >"$STATE/certs/$name-key.pub"
	done
}

# Mints and enrols; arguments as for `coldfleet-tracker mint`.
enrol() {
	"$BIN/coldfleet-tracker" mint --dir "$STATE/certs" "$@" >"$STATE/minted.tsv"
	pg_sql -f "$ROOT/ops/lib/enrol.sql" <"$STATE/minted.tsv"
	rm -f "$STATE/minted.tsv"
}

tokens_create() {
	local role
	for role in admin operator approver viewer auditor; do
		printf 'COLDFLEET_TOKEN_%s=%s\n' "${role^^}" \
			"$(pg_sql -c "select fleet.create_token('demo $role', '$role')")"
	done >"$STATE/secrets/tokens"
	chmod 0600 "$STATE/secrets/tokens"
}

config_create() {
	cat >"$STATE/coldfleet.ini" <<-CONF
		[ingest]
		database = $(pg_uri coldfleet_ingest)
		mqtt_host = $RUN_DIR/mqtt.sock
		mqtt_port = 0
		mqtt_username = @ingest
		mqtt_password_file = $STATE/secrets/mqtt-ingest
		share_group = $SHARE_GROUP
		ring = $RING
		client_id = @ingest
		monitor = 127.0.0.1:$INGEST_MONITOR

		[bridge]
		database = $(pg_uri coldfleet_bridge)
		mqtt_host = $RUN_DIR/mqtt.sock
		mqtt_port = 0
		mqtt_username = @bridge
		mqtt_password_file = $STATE/secrets/mqtt-bridge
		share_group = $REPLY_GROUP
		client_id = @bridge
		monitor = 127.0.0.1:$BRIDGE_MONITOR

		[signer]
		database = $(pg_uri coldfleet_signer)
		issuer = coldfleet demo
		key = $STATE/secrets/command.key
		audit_key = $STATE/secrets/audit.key
		checkpoint_file = $STATE/log/audit-checkpoints
		checkpoint_every = 10s
		monitor = 127.0.0.1:$SIGNER_MONITOR

		[notify]
		database = $(pg_uri coldfleet_notify)
		mqtt_host = $RUN_DIR/mqtt.sock
		mqtt_port = 0
		mqtt_username = @notify
		mqtt_password_file = $STATE/secrets/mqtt-notify
		client_id = @notify
		monitor = 127.0.0.1:$NOTIFY_MONITOR

		[api]
		database = $(pg_uri coldfleet_api)
		listen = 127.0.0.1:$API_PORT
		monitor = 127.0.0.1:$API_MONITOR
	CONF
}

env_create() {
	local -a export_line
	[ "$PARTS" = postgres ] || mapfile -t export_line <"$STATE/secrets/tokens"
	export_line+=(
		"COLDFLEET_API=http://127.0.0.1:$API_PORT"
		"COLDFLEET_CA=$STATE/certs/ca.crt"
		"COLDFLEET_MQTT_HOST=127.0.0.1"
		"COLDFLEET_MQTT_PORT=$MQTT_PORT"
		"COLDFLEET_CERTS=$STATE/certs"
		"COLDFLEET_DB_OWNER=$(pg_uri postgres)"
		"COLDFLEET_DB_ANALYST=$(pg_uri coldfleet_analyst)"
		"COLDFLEET_DB_INGEST=$(pg_uri coldfleet_ingest)"
		"COLDFLEET_METRICS_INGEST=http://127.0.0.1:$INGEST_MONITOR/metrics"
		"COLDFLEET_METRICS_BRIDGE=http://127.0.0.1:$BRIDGE_MONITOR/metrics"
		"COLDFLEET_METRICS_SIGNER=http://127.0.0.1:$SIGNER_MONITOR/metrics"
		"COLDFLEET_METRICS_NOTIFY=http://127.0.0.1:$NOTIFY_MONITOR/metrics"
		"COLDFLEET_TRUST=$STATE/certs/command-key.pub"
		"COLDFLEET_AUDIT_KEY=$STATE/certs/audit-key.pub"
		"COLDFLEET_AUDIT_CHECKPOINTS=$STATE/log/audit-checkpoints"
		"COLDFLEET_METRICS_API=http://127.0.0.1:$API_MONITOR/metrics")
	: >"$STATE/env"
	chmod 0600 "$STATE/env"
	local line quote="'\\''"
	for line in "${export_line[@]}"; do
		line=${line//\'/$quote}
		printf "export %s='%s'\n" "${line%%=*}" "${line#*=}"
	done >>"$STATE/env"
	printf "export PATH='%s':\"\$PATH\"\n" "${BIN//\'/$quote}" >>"$STATE/env"
}

# COLDFLEET_WRAP is a command that runs the daemon: a debugger, valgrind.
daemon_start() {
	local -a wrap
	read -ra wrap <<<"${COLDFLEET_WRAP:-}"
	process_start "$1" "${wrap[@]}" "$BIN/coldfleet-$1" --config "$STATE/coldfleet.ini"
}

daemon_ready() {
	process_alive "$1" || process_failed "$1"
	curl -fs -o /dev/null --max-time 5 "http://127.0.0.1:$2/readyz"
}

trackers_start() {
	[ "$TRACKERS" -gt 0 ] || return 0
	mkdir -p "$STATE/flash"
	process_start trackers "$BIN/coldfleet-tracker" run --host 127.0.0.1 --port "$MQTT_PORT" --certs "$STATE/certs" \
		--ca "$STATE/certs/ca.crt" --trackers "$TRACKERS" --interval "$INTERVAL" --backfill "$BACKFILL" \
		--flash "$STATE/flash" --trust "$STATE/certs/command-key.pub"
}

part_start() {
	case $1 in
	postgres) pg_start ;;
	broker) broker_start ;;
	ingest | bridge | signer | notify | api) daemon_start "$1" ;;
	trackers) trackers_start ;;
	*) die "no part $1; there are: $PARTS" ;;
	esac
}

part_stop() {
	case $1 in
	postgres) pg_stop ;;
	broker) broker_stop ;;
	ingest | bridge | signer | notify | api | trackers) process_stop "$1" TERM 25 ;;
	*) die "no part $1; there are: $PARTS" ;;
	esac
}

# Waits until the part does its work, not just exists.
part_ready() {
	case $1 in
	ingest) wait_until 60 "coldfleet-ingest" daemon_ready ingest "$INGEST_MONITOR" ;;
	bridge) wait_until 60 "coldfleet-bridge" daemon_ready bridge "$BRIDGE_MONITOR" ;;
	signer) wait_until 60 "coldfleet-signer" daemon_ready signer "$SIGNER_MONITOR" ;;
	notify) wait_until 60 "coldfleet-notify" daemon_ready notify "$NOTIFY_MONITOR" ;;
	api) wait_until 60 "coldfleet-api" daemon_ready api "$API_MONITOR" ;;
	*) ;;
	esac || process_failed "$1"
}

parts_running() {
	local part
	for part in $PARTS; do
		! process_alive "$part" || printf '%s\n' "$part"
	done
}

parts_all_run() {
	local part
	for part in $PARTS; do
		process_alive "$part" || [ "$part$TRACKERS" = trackers0 ] || return 1
	done
}

# Everything that a run started or made outside its folder ends here; the folder keeps its logs.
stack_down() {
	local part
	for part in trackers api notify signer bridge ingest broker postgres; do
		part_stop "$part"
	done
	rm -f "$STATE/settings"
	pg_remove
	[ -z "${RUN_DIR:-}" ] || rm -rf -- "$RUN_DIR"
	[ -z "${RING_DIR:-}" ] || rm -rf -- "$RING_DIR"
	state_clear
}
