#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The database's tests in a private cluster: pgTAP files (each in a transaction that is rolled back), migrations forth
# and back in a second database, and the property test of telemetry.advance. Usage: sql_tests.sh FOLDER
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/common.sh"

folder=$1
trap '"$ROOT/ops/demo" --dir "$folder" down' EXIT
"$ROOT/ops/demo" --dir "$folder" --database
# shellcheck disable=SC1091
. "$folder/env"
failed=0

# A script that proves one thing: reported the way pg_prove reports.
claim() {
	local name=$1
	shift
	if "$@"; then
		echo "ok - $name"
	else
		echo "not ok - $name"
		failed=1
	fi
}

psql -X -q -d "$COLDFLEET_DB_OWNER" -c "create schema tap" -c "create extension pgtap schema tap"
PGOPTIONS="-c search_path=tap,public" pg_prove --verbose --ext .sql -d "$COLDFLEET_DB_OWNER" "$ROOT"/tests/sql || failed=1

psql -X -q -d "$COLDFLEET_DB_OWNER" -c "create database migrations"
claim "every change deploys, verifies, reverts and deploys again to the same schema" \
	"$ROOT/tests/sql/migrations.sh" "${COLDFLEET_DB_OWNER/\/coldfleet/\/migrations}"
claim "any order, duplication and batching of the same facts ends in the same state" \
	/usr/bin/python3 -B "$ROOT/tests/sql/advance_property.py" "$COLDFLEET_DB_OWNER"
exit "$failed"
