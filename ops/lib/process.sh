# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Processes that outlive the script which started them. Each writes its own identity - pid, boot and start time - before
# it becomes the daemon, so a starter killed at any moment leaves nothing unknown, and a number that has meanwhile
# been given to somebody else's process is never signalled. Needs $STATE, the folder with run/ and log/.

# "PID BOOT STARTTIME" of a process, or nothing when it is gone or only waits to be reaped.
process_identity() {
	local stat
	{ read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
	# The name in parentheses may hold anything; fields are counted behind its end: state is the first, start the 20th.
	local -a field
	read -ra field <<<"${stat##*) }"
	[ "${field[0]}" != Z ] && [ "${field[0]}" != X ] || return 1
	printf '%s %s %s\n' "$1" "$(</proc/sys/kernel/random/boot_id)" "${field[19]}"
}

process_pid() {
	local recorded
	{ read -r recorded <"$STATE/run/$1.pid"; } 2>/dev/null || return 1
	[ -n "$recorded" ] && [ "$(process_identity "${recorded%% *}")" = "$recorded" ] || return 1
	printf '%s\n' "${recorded%% *}"
}

process_alive() {
	process_pid "$1" >/dev/null
}

# process_start NAME COMMAND...: in a session of its own, output to log/NAME.log. The starter's lock is not inherited.
process_start() {
	local name=$1
	shift
	process_alive "$name" && return 0
	rm -f "$STATE/run/$name.pid"
	# shellcheck disable=SC2016 # the inner shell expands it
	PROCESS_PID_FILE=$STATE/run/$name.pid setsid bash -c '
		. "$1"
		process_identity $$ >"$PROCESS_PID_FILE.new" && mv "$PROCESS_PID_FILE.new" "$PROCESS_PID_FILE" || exit 1
		unset PROCESS_PID_FILE
		shift
		exec "$@"' start "$ROOT/ops/lib/process.sh" "$@" </dev/null >>"$STATE/log/$name.log" 2>&1 9>&- &
	disown
	wait_until 10 "$name to start" test -s "$STATE/run/$name.pid" || process_failed "$name"
}

process_gone() {
	! process_alive "$1"
}

# process_stop NAME SIGNAL SECONDS: asks, waits, and after the deadline ends it hard.
process_stop() {
	local pid
	pid=$(process_pid "$1") || return 0
	kill -s "$2" "$pid" 2>/dev/null || true
	# It may have been stopped by hand. Only then: a leak checker that ends a process stops it too, and waits for that.
	[ "$(ps -o state= -p "$pid" 2>/dev/null)" != T ] || kill -s CONT "$pid" 2>/dev/null || true
	if ! wait_until "$3" "$1 to end (killing it)" process_gone "$1"; then
		kill -s KILL "$pid" 2>/dev/null || true
		wait_until 5 "$1 to die" process_gone "$1"
	fi
}

# Why a daemon did not come up: what it said last.
process_failed() {
	warn "$1 did not come up; the end of $STATE/log/$1.log:"
	tail -n 20 "$STATE/log/$1.log" >&2
	exit 1
}
