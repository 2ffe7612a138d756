#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Proves that the migrations go both ways: deploys with verification, prepares every statement of schema/queries, reverts
# everything, deploys again, and compares the two schemas. The database must be empty, the role a superuser.
# Usage: migrations.sh DBURI    (postgresql://USER@/DATABASE?host=/SOCKET/FOLDER&port=PORT)
set -eu

uri=${1:?usage: migrations.sh DBURI}
schema=$(CDPATH='' cd -- "$(dirname -- "$0")/../../schema" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
count=0

claim() {
	count=$((count + 1))
	if "$2" >"$work/out" 2>&1; then
		echo "ok $count - $1"
	else
		echo "not ok $count - $1"
		sed 's/^/# /' "$work/out"
		echo "1..$count"
		exit 1
	fi
}

change() { sqitch --chdir "$schema" "$@" "db:$uri"; }
# pg_dump fences its output with a random word (\restrict), which is no part of the schema.
dump() { pg_dump --schema-only --exclude-schema=sqitch "$uri" | grep -v '^\\[a-z]*restrict '; }
objects() {
	psql -AtX -d "$uri" -c "select nspname from pg_namespace
		where nspname in ('fleet', 'telemetry', 'command', 'coldchain', 'firmware', 'audit', 'api', 'analytics')"
}

deploy() { change deploy --verify; }
verify() { change verify; }
revert() { change revert -y; }
nothing_left() { test -z "$(objects)"; }
dump_first() { dump >"$work/first"; }
same_dump() {
	dump >"$work/second"
	diff "$work/first" "$work/second"
}
prepare_all() {
	for file in "$schema"/queries/*.sql; do
		printf 'PREPARE %s AS\n' "$(basename "$file" .sql)"
		cat "$file"
		printf ';\n'
	done >"$work/prepare"
	psql -qX -v ON_ERROR_STOP=1 -d "$uri" -f "$work/prepare"
}

claim 'every change deploys and verifies' deploy
claim 'the whole deployment verifies' verify
claim 'every statement of schema/queries can be prepared' prepare_all
dump_first
claim 'every change reverts' revert
claim 'nothing is left after the revert' nothing_left
claim 'every change deploys again' deploy
claim 'the second deployment equals the first' same_dump
echo "1..$count"
