# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What every script of ops/ uses: where the checkout is, how to speak, who runs what, and free ports.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)

say() {
	printf '%s\n' "$*"
}

warn() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
}

die() {
	warn "$*"
	exit 1
}

# Where a person typed `sudo ops/...`, only the installation of packages needs root. The rest runs as that person, so
# that what it leaves belongs to them: the caller's command line is run again without root. Not when root owns the
# checkout: then the person could not write to it.
leave_sudo() {
	[ "$(id -u)" = 0 ] && [ "${SUDO_UID:-0}" != 0 ] || return 0
	[ "$(stat -c %u "$ROOT")" = "$SUDO_UID" ] || return 0
	local home
	home=$(getent passwd "$SUDO_UID" | cut -d: -f6)
	exec env -u SUDO_UID -u SUDO_GID -u SUDO_USER HOME="$home" COLDFLEET_PACKAGES=present \
		setpriv --reuid="$SUDO_UID" --regid="$SUDO_GID" --init-groups "$@"
}

# The packages of the sets named; nothing to do is the common case and takes a few milliseconds.
need_packages() {
	[ "${COLDFLEET_PACKAGES:-}" = present ] || "$ROOT/ops/install-deps" "$@"
}

port_free() {
	/usr/bin/python3 - "$1" <<-'PYTHON'
		import socket, sys
		for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "0.0.0.0")):
		    with socket.socket(family) as s:
		        try:
		            s.bind((address, int(sys.argv[1])))
		        except OSError:
		            sys.exit(1)
	PYTHON
}

# A loopback port that nobody listens on: the first argument when it is given and free, else one behind the second, which was
# chosen before and is not listened on yet; without that a random one below the range that
# the kernel hands out for outgoing connections, so that none of those takes it before we bind it.
port_choose() {
	local port=${1:-} after=${2:-}
	[ -n "$port" ] && port_free "$port" && printf '%s\n' "$port" && return
	[ -n "$after" ] || after=$((${COLDFLEET_PORTS_FROM:-20000} + RANDOM % ${COLDFLEET_PORTS:-12000}))
	port=$((after + 1))
	while ! port_free "$port"; do
		port=$((port + 1))
	done
	printf '%s\n' "$port"
}

random_hex() {
	od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'
}

# wait_until SECONDS WHAT COMMAND...: runs the command until it succeeds. COLDFLEET_PATIENCE multiplies the seconds.
wait_until() {
	local deadline=$((SECONDS + $1 * ${COLDFLEET_PATIENCE:-1})) what=$2
	shift 2
	until "$@"; do
		[ "$SECONDS" -lt "$deadline" ] || {
			warn "gave up waiting for $what"
			return 1
		}
		sleep 0.1
	done
}
