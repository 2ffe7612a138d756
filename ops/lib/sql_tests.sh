#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The database's tests in a private cluster: pgTAP files (each in a transaction that is rolled back), migrations forth
# and back in a second database, the questions of docs/analyst.md, several sessions at once, and the property tests of telemetry.advance, coldchain.evaluate, with
# COLDFLEET_CASES cases (default 1000), and analytics.refresh, with a fifth of them. Usage: sql_tests.sh FOLDER
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/common.sh"

folder=$1
trap '"$ROOT/ops/demo" --dir "$folder" down' EXIT
"$ROOT/ops/demo" --dir "$folder" --database
# shellcheck disable=SC1091
. "$folder/env"
failed=0

psql -X -q -d "$COLDFLEET_DB_OWNER" -c "create schema pgtap" -c "create extension pgtap schema pgtap"
PGHOST=${COLDFLEET_DB_OWNER#*host=}
PGHOST=${PGHOST%%&*} PGUSER=postgres PGDATABASE=coldfleet PGOPTIONS="-c search_path=pgtap,public" \
	pg_prove --verbose --ext .sql "$ROOT"/tests/sql || failed=1

psql -X -q -d "$COLDFLEET_DB_OWNER" -c "create database migrations"
"$ROOT/tests/sql/migrations.sh" "${COLDFLEET_DB_OWNER/\/coldfleet/\/migrations}" || failed=1
timeout 100 /usr/bin/python3 -B "$ROOT/tests/sql/analyst.py" "$COLDFLEET_DB_OWNER" || failed=1
if timeout 200 /usr/bin/python3 -B "$ROOT/tests/sql/advance_property.py" "$COLDFLEET_DB_OWNER" 3; then
	echo "ok - any order, duplication and batching of the same facts ends in the same state"
else
	echo "not ok - any order, duplication and batching of the same facts ends in the same state"
	failed=1
fi
if timeout 400 /usr/bin/python3 -B "$ROOT/tests/sql/excursion_property.py" "$COLDFLEET_DB_OWNER" "${COLDFLEET_CASES:-1000}"; then
	echo "ok - readings and assignments in any order end in the excursions that a naive reference finds"
else
	echo "not ok - readings and assignments in any order end in the excursions that a naive reference finds"
	failed=1
fi
if timeout 200 /usr/bin/python3 -B "$ROOT/tests/sql/rollup_property.py" "$COLDFLEET_DB_OWNER" $((${COLDFLEET_CASES:-1000} / 5)); then
	echo "ok - readings in any order end in the same hours and days, to the last bit"
else
	echo "not ok - readings in any order end in the same hours and days, to the last bit"
	failed=1
fi
timeout 100 /usr/bin/python3 -B "$ROOT/tests/sql/logger_series.py" "$COLDFLEET_DB_OWNER" || failed=1
timeout 200 /usr/bin/python3 -B "$ROOT/tests/sql/concurrency.py" "$COLDFLEET_DB_OWNER" || failed=1
exit "$failed"
