# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A private PostgreSQL cluster. PostgreSQL refuses root, so root starts it as the user `postgres`. It listens on one
# Unix socket; who is on the other end is asked from the kernel (peer), and only the person who started it (and root)
# is let in. Needs $STATE, $RUN_DIR and, once chosen, $PG_DATA.

PG_ROLES="postgres coldfleet_ingest coldfleet_bridge coldfleet_signer coldfleet_notify coldfleet_api coldfleet_analyst"
PG_AS=()
[ "$(id -u)" != 0 ] || PG_AS=(setpriv --reuid=postgres --regid=postgres --clear-groups env HOME=/ USER=postgres)

pg_find_programs() {
	local -a found
	mapfile -t found < <(printf '%s\n' /usr/lib/postgresql/*/bin/postgres | sort -t/ -k5,5n)
	PG_BIN=${found[-1]%/postgres}
	[ -x "$PG_BIN/postgres" ] || die "no PostgreSQL server under /usr/lib/postgresql: run ops/install-deps run"
}

# Where the cluster's files go: beside the rest, unless the user `postgres` cannot get there (a checkout in /root).
pg_choose_place() {
	PG_DATA=$STATE/postgres
	if [ "$(id -u)" = 0 ] && ! "${PG_AS[@]}" test -x "$STATE"; then
		PG_DATA=$(mktemp -d /var/tmp/coldfleet-postgres-XXXXXXXX)
		say "  the user postgres cannot enter $STATE; the cluster is in $PG_DATA until ops/demo down"
	fi
}

# A running cluster with the schema. Whoever needs many of them, as the tests do, names a folder in COLDFLEET_CLUSTERS:
# the first one made there is kept, and others with the same schema are copies.
pg_create() {
	local kept=${COLDFLEET_CLUSTERS:+$COLDFLEET_CLUSTERS/$(pg_schema_hash)}
	mkdir -p "$PG_DATA" "$RUN_DIR/postgres"
	chmod 0700 "$PG_DATA" "$RUN_DIR/postgres"
	[ "$(id -u)" != 0 ] || chown postgres:postgres "$PG_DATA" "$RUN_DIR/postgres"
	if [ -n "$kept" ] && [ -d "$kept" ]; then
		cp -a --reflink=auto "$kept/." "$PG_DATA"
		pg_settle
		pg_start
		return
	fi
	(cd / && "${PG_AS[@]}" "$PG_BIN/initdb" --pgdata="$PG_DATA" --username=postgres --encoding=UTF8 --locale=C.UTF-8 \
		--auth=peer --no-sync) >>"$STATE/log/initdb.log" 2>&1 || process_failed initdb
	pg_settle
	pg_start
	pg_deploy_schema
	[ -z "$kept" ] || pg_keep "$kept"
}

pg_schema_hash() {
	(cd "$ROOT/schema" && "$PG_BIN/postgres" --version && cat sqitch.plan deploy/*) | sha256sum | cut -c1-16
}

# Copies the cluster, stopped meanwhile, to the folder given. Several may do so at once: the first one's stays.
pg_keep() {
	local fresh
	mkdir -p "${1%/*}"
	fresh=$(mktemp -d "${1%/*}/fresh-XXXXXXXX")
	pg_stop
	cp -a "$PG_DATA/." "$fresh"
	mv -T "$fresh" "$1" 2>/dev/null || rm -rf -- "$fresh"
	pg_start
}

# Settings of this cluster; of those written twice the later ones count.
pg_settle() {
	pg_configure | "${PG_AS[@]}" tee -a "$PG_DATA/postgresql.conf" >/dev/null
	echo "local all all peer map=coldfleet" | "${PG_AS[@]}" tee "$PG_DATA/pg_hba.conf" >/dev/null
	pg_map_users | "${PG_AS[@]}" tee "$PG_DATA/pg_ident.conf" >/dev/null
}

pg_configure() {
	cat <<-CONF
		listen_addresses = ''
		unix_socket_directories = '$RUN_DIR/postgres'
		fsync = on
		synchronous_commit = on
		shared_buffers = 256MB
		# Files of WAL stay for further use: to make one takes 50 ms, within a commit.
		min_wal_size = 2GB
		max_wal_size = 2GB
		max_connections = 100
		timezone = 'UTC'
		log_timezone = 'UTC'
		log_line_prefix = '%m [%p] %u '
		shared_preload_libraries = ''
	CONF
}

pg_map_users() {
	local user role
	for user in $(printf '%s\n' root "$(id -un)" "${SUDO_USER:-root}" | sort -u); do
		for role in $PG_ROLES; do
			printf 'coldfleet "%s" %s\n' "$user" "$role"
		done
	done
}

pg_start() {
	(cd / && process_start postgres "${PG_AS[@]}" "$PG_BIN/postgres" -D "$PG_DATA")
	wait_until 60 "PostgreSQL" pg_up || process_failed postgres
}

# Up, or no longer trying: a server that died needs no waiting for.
pg_up() {
	process_alive postgres || process_failed postgres
	"$PG_BIN/pg_isready" -q -h "$RUN_DIR/postgres" -d postgres -U postgres
}

pg_stop() {
	process_stop postgres INT 30
}

pg_remove() {
	[ -n "${PG_DATA:-}" ] && [ -d "$PG_DATA" ] && rm -rf -- "$PG_DATA"
	return 0
}

# The libpq URI of a role.
pg_uri() {
	printf 'postgresql:///%s?host=%s&user=%s' "${2:-coldfleet}" "$RUN_DIR/postgres" "$1"
}

pg_sql() {
	"$PG_BIN/psql" -X -q -A -t -v ON_ERROR_STOP=1 -d "$(pg_uri postgres)" "$@"
}

pg_deploy_schema() {
	"$PG_BIN/createdb" -h "$RUN_DIR/postgres" -U postgres coldfleet
	(cd "$ROOT/schema" && PGHOST="$RUN_DIR/postgres" PGUSER=postgres PGDATABASE=coldfleet SQITCH_FULLNAME=coldfleet \
		SQITCH_EMAIL=maintainers@coldfleet.example sqitch deploy --no-verify db:pg:coldfleet) \
		>>"$STATE/log/schema.log" 2>&1 || process_failed schema
}
