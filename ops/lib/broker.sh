# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A private Mosquitto with the configuration that production uses (ops/mosquitto). Needs $STATE, $RUN_DIR, $MQTT_PORT, and
# $RING, the file between its plugin and ingest, or nothing.

BROKER_USERS="@ingest @bridge @notify @audit @alarms"

broker_create() {
	local user
	mkdir -p "$STATE/broker" "$STATE/secrets"
	: >"$STATE/broker/passwords"
	chmod 0600 "$STATE/broker/passwords"
	for user in $BROKER_USERS; do
		random_hex 24 >"$STATE/secrets/mqtt-${user#@}"
		printf '%s:%s\n' "$user" "$(<"$STATE/secrets/mqtt-${user#@}")" >>"$STATE/broker/passwords"
	done
	chmod 0600 "$STATE"/secrets/mqtt-*
	mosquitto_passwd -U "$STATE/broker/passwords"
	install -m 0600 "$ROOT/ops/mosquitto/coldfleet.acl" "$STATE/broker/acl"
	broker_render >"$STATE/broker/mosquitto.conf"
	[ -z "$RING" ] || broker_plugin >>"$STATE/broker/mosquitto.conf"
}

# Telemetry goes from the broker to ingest through shared memory.
broker_plugin() {
	"$BIN/coldfleet-ring" create "$RING" "${COLDFLEET_RING_SIZE:-64MiB}"
	printf '\nplugin %s\nplugin_opt_ring %s\n' "$BIN/coldfleet_broker.so" "$RING"
}

# As root Mosquitto would become the user `mosquitto`, which may not read this folder: it stays who started it.
broker_render() {
	sed -e "s|@PASSWORD_FILE@|$STATE/broker/passwords|" \
		-e "s|@ACL_FILE@|$STATE/broker/acl|" \
		-e "s|@PORT@ @BIND@|$MQTT_PORT 127.0.0.1|" \
		-e "s|@CERTS@|$STATE/certs|" \
		-e "s|@SOCKET@|$RUN_DIR/mqtt.sock|" \
		-e "s|@STORE@|$STATE/broker|" \
		-e "s|@LOG_FILE@|$STATE/log/mosquitto.log|" \
		-e "s|@EXTRA@|user $(id -un)|" "$ROOT/ops/mosquitto/coldfleet.conf.in"
}

broker_start() {
	rm -f "$RUN_DIR/mqtt.sock"
	process_start broker "$(broker_program)" -c "$STATE/broker/mosquitto.conf"
	wait_until 20 "the broker" broker_up || process_failed broker
}

broker_program() {
	command -v mosquitto || printf '/usr/sbin/mosquitto\n'
}

broker_up() {
	process_alive broker || process_failed broker
	[ -S "$RUN_DIR/mqtt.sock" ]
}

broker_stop() {
	process_stop broker TERM 20
}
