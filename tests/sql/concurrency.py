#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What must hold while several sessions work at once: nobody waits in a circle, a partition is made once, a message is
quarantined once, a device never gets a third certificate, and a cache of devices misses no change however late it is
committed. Usage: concurrency.py DBURI; the database is a deployed one, devices are added to it."""

import random
import secrets
import sys
import threading
import time
from datetime import datetime, timedelta, timezone

import psycopg

SESSIONS = 6
ADVANCE = (
    "select count(*) from telemetry.advance(%s::int4[], %s::timestamptz[], "
    + "null, " * 22
    + "%s::int4[], %s::int2[], %s::int4[], %s::int4[], null, %s::int4[], %s::int2[])"
)


def register(db, count):
    tag = secrets.token_hex(8)
    call = "select fleet.register_device(%s, 'concurrency', 'concurrency', '')"
    return [db.execute(call, [f"{tag}-{n}"]).fetchone()[0] for n in range(count)]


def start_until_it_waits(db, session, statement, values):
    """Executes a statement in a thread of its own, until it waits for another session; the list gets its error, or None."""
    got = []

    def work():
        try:
            session.execute(statement, values)
            session.commit()
            got.append(None)
        except psycopg.Error as error:
            got.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    until = time.monotonic() + 30
    waiting = "select count(*) from pg_locks where pid = %s and not granted"
    while not db.execute(waiting, [session.info.backend_pid]).fetchone()[0] and time.monotonic() < until:
        db.commit()
    return thread, got


def at_once(uri, work):
    """Runs work(db, n) in SESSIONS sessions; returns what each returned or raised."""
    results = [None] * SESSIONS
    start = threading.Barrier(SESSIONS)

    def session(n):
        try:
            with psycopg.connect(uri) as db:
                start.wait(30)
                results[n] = work(db, n)
                db.commit()
        except psycopg.Error as error:
            results[n] = error

    threads = [threading.Thread(target=session, args=(n,)) for n in range(SESSIONS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return results


def test_sessions_that_advance_the_same_devices_never_deadlock(uri, db):
    devices = register(db, 40)
    db.commit()

    def work(session, n):
        rng = random.Random(n)
        for _ in range(40):
            some = sorted(rng.sample(devices, 20))
            firsts = [rng.randrange(300) for _ in some]
            args = [some, ["2026-09-01"] * 20, some, [0] * 20, firsts, [300] * 20, some, [0] * 20]
            session.execute(ADVANCE, args)
            session.commit()

    got = at_once(uri, work)
    assert got == [None] * SESSIONS, got


def test_a_partition_that_all_want_is_made_once(uri, db):
    free = (
        "select t from generate_series(now() - interval '390 days', now(), interval '1 day') as t"
        " where not exists (select from telemetry.partitions() where t >= lower and t < upper) limit 1"
    )
    ts = db.execute(free).fetchone()[0]
    db.commit()
    made = at_once(uri, lambda session, _: session.execute("select telemetry.ensure_partition(%s)", [ts]).fetchone()[0])
    assert sorted(m is not None for m in made) == [False] * (SESSIONS - 1) + [True], made


def test_readings_are_stored_while_a_partition_is_made(uri, db):
    device = register(db, 1)[0]
    old = (
        "select t from generate_series(now() - interval '390 days', now(), interval '1 day') as t"
        " where not exists (select from telemetry.partitions() where t >= lower and t < upper) limit 1"
    )
    ts = db.execute(old).fetchone()[0]
    db.commit()
    with psycopg.connect(uri) as other:
        db.execute("insert into telemetry.reading (ts, received_at, device_id, seq, epoch, probe)"
                   " values (now(), now(), %s, 0, 0, 0)", [device])
        other.execute("set lock_timeout = '5s'")
        other.execute("select telemetry.ensure_partition(%s)", [ts])
        db.execute("set local lock_timeout = '5s'")
        db.execute("insert into telemetry.reading (ts, received_at, device_id, seq, epoch, probe)"
                   " values (now(), now(), %s, 1, 0, 0)", [device])
        db.commit()
        other.commit()


def store(session, device, rows, fresh):
    """Stores (second, seq) of a device; returns how many were new and whether a moment was found taken."""
    first = datetime.now(timezone.utc).replace(minute=0, second=0, microsecond=0)
    rows, n = sorted(rows), len(rows)
    marks = [-32768 if i > 0 and row[0] == rows[i - 1][0] and row != rows[i - 1] else 0 for i, row in enumerate(rows)]
    return session.execute(
        "select stored, taken from telemetry.store_readings(%s, %s, %s, %s, %s::int2[], %s::int2[], null, null, null, null,"
        " null, null, null, null, null, null, null, null, null, null, null, %s)",
        [[device] * n, [first + timedelta(seconds=s) for s, _ in rows], [first] * n, [seq for _, seq in rows], [0] * n, marks, fresh]).fetchone()


def stored(db, device):
    """Seconds and sequence numbers, and which are further ones of their moment."""
    rows = db.execute("select extract(minute from ts)::int * 60 + extract(second from ts)::int, (number & 4294967295) - 2147483648, number < 0"
                      " from telemetry.measurement where device_id = %s order by 1, 3, 2", [device]).fetchall()
    db.commit()
    return rows


def waits(db, pid):
    while not db.execute("select %s in (select pid from pg_locks where not granted)", [pid]).fetchone()[0]:
        pass
    db.commit()


def against_an_open_transaction(uri, db, mine, ends):
    """One session has stored (1, 1), (2, 2) and not committed; another stores `mine` and waits; the first `ends`."""
    device = register(db, 1)[0]
    db.commit()
    with psycopg.connect(uri) as one, psycopg.connect(uri) as two:
        assert store(one, device, [(1, 1), (2, 2)], True) == (2, False)
        got = []
        thread = threading.Thread(target=lambda: got.append(store(two, device, mine, True)) or two.commit())
        thread.start()
        waits(db, two.info.backend_pid)
        getattr(one, ends)()
        thread.join(30)
        return got[0], stored(db, device)


def test_a_batch_that_another_session_is_storing_is_stored_once(uri, db):
    assert against_an_open_transaction(uri, db, [(1, 1), (2, 2)], "commit") == ((0, True), [(1, 1, False), (2, 2, False)])


def test_another_reading_of_a_moment_that_another_session_is_storing_is_a_further_one(uri, db):
    got = against_an_open_transaction(uri, db, [(0, 0), (2, 3)], "commit")
    assert got == ((2, True), [(0, 0, False), (1, 1, False), (2, 2, False), (2, 3, True)]), got


def test_what_another_session_did_not_store_after_all_is_stored(uri, db):
    got = against_an_open_transaction(uri, db, [(2, 2), (2, 3)], "rollback")
    assert got == ((2, False), [(2, 2, False), (2, 3, True)]), got


def test_sessions_that_store_the_same_moments_store_each_reading_once_and_never_deadlock(uri, db):
    devices = register(db, 3)
    db.commit()

    def work(session, n):
        rng, new = random.Random(n), 0
        for _ in range(20):
            for device in devices:
                rows = {(rng.randrange(60), rng.randrange(3)) for _ in range(15)}
                new += store(session, device, rows, rng.random() < 0.7)[0]
            session.commit()
        return new

    got = at_once(uri, work)
    assert all(isinstance(new, int) for new in got), got
    for device in devices:
        rows = stored(db, device)
        assert len({(s, seq) for s, seq, _ in rows}) == len(rows), "a reading is stored twice"
        assert sum(not further for *_, further in rows) == len({s for s, *_ in rows}), "each moment has one first reading"
    assert sum(got) == sum(len(stored(db, device)) for device in devices), "what was told as new is what is there"


def test_a_partition_in_use_is_dropped_later_and_nobody_waits_for_that(uri, db):
    old = db.execute("select telemetry.ensure_partition(now() - interval '440 days')").fetchone()[0]
    was = db.execute("select retention_days from telemetry.setting").fetchone()[0]
    db.execute("update telemetry.setting set retention_days = 410")
    db.commit()
    try:
        with psycopg.connect(uri) as analyst, psycopg.connect(uri, autocommit=True) as keeper:
            analyst.execute("select count(*) from telemetry.reading")
            keeper.execute("set statement_timeout = '10s'")
            done = [what for (what,) in keeper.execute("select telemetry.maintain()").fetchall()]
            assert f"postponed dropping {old}: it is in use" in done, done
            analyst.commit()
            done = [what for (what,) in keeper.execute("select telemetry.maintain()").fetchall()]
            assert f"dropped {old}" in done, done
    finally:
        db.execute("update telemetry.setting set retention_days = %s", [was])
        db.commit()


def test_a_message_that_all_quarantine_is_kept_once(uri, db):
    topic = secrets.token_hex(8)
    call = (
        "select telemetry.quarantine_store(null, array[%s], array['x'::bytea], null, array[now()], array['syntax'], null)"
    )
    at_once(uri, lambda session, _: session.execute(call, [topic]) and None)
    rows = db.execute("select seen from telemetry.quarantine where topic = %s", [topic]).fetchall()
    assert rows == [(SESSIONS,)], rows


def test_sessions_that_add_certificates_at_once_add_two(uri, db):
    device = register(db, 1)[0]
    serial = db.execute("select serial from fleet.device where device_id = %s", [device]).fetchone()[0]
    db.commit()
    call = "select fleet.add_certificate(%s, %s, %s, now(), now() + interval '1 day')"
    got = at_once(
        uri, lambda session, _: session.execute(call, [serial, secrets.token_bytes(32), secrets.token_bytes(32)]) and None
    )
    assert sorted(g is None for g in got) == [False] * (SESSIONS - 2) + [True] * 2, got


PUT_CALIBRATION = """select id from coldchain.put_calibration(%s, jsonb_build_object('certificate', %s::text, 'laboratory', 'L', 'calibrated_on',
    current_date - %s::int, 'interval_months', 12, 'points', '[{"reference_c": 5, "indicated_c": 5, "uncertainty_c": 0.1}]'::jsonb))"""


def test_sessions_that_record_calibrations_of_one_probe_leave_no_two_that_overlap(uri, db):
    device = register(db, 1)[0]
    db.commit()

    def work(session, n):
        for k in range(20):
            session.execute(PUT_CALIBRATION, [device, f"{n}-{k}", 50 * n + k])
            session.execute(PUT_CALIBRATION, [device, f"same-{k}", 400 + k])
            session.commit()

    got = at_once(uri, work)
    assert got == [None] * SESSIONS, got
    kept = db.execute("select count(*), count(*) filter (where latest) from coldchain.calibration where device_id = %s", [device]).fetchone()
    assert kept == (20 * SESSIONS + 20, 1), kept
    overlaps = db.execute("select count(*) from coldchain.calibration as a join coldchain.calibration as b using (device_id) where device_id = %s "
                          "and a.calibration_id < b.calibration_id and a.valid && b.valid", [device]).fetchone()
    assert overlaps == (0,), overlaps


def test_who_voids_a_calibration_waits_for_who_records_the_next_and_not_both_for_each_other(uri, db):
    device = register(db, 1)[0]
    voided = db.execute(PUT_CALIBRATION, [device, "voided", 100]).fetchone()[0]
    db.commit()
    with psycopg.connect(uri) as recorder, psycopg.connect(uri) as voider:
        recorder.execute(PUT_CALIBRATION, [device, "before", 300])
        other, got = start_until_it_waits(db, voider, "select coldchain.void_calibration(%s, 'test')", [voided])
        recorder.execute(PUT_CALIBRATION, [device, "after", 50])  # ends the validity of the one that is being voided
        recorder.commit()
        other.join(30)
        assert got == [None], got


def under_way(db):
    """A geofenced shipment under way with one tracker: device, shipment and assignment."""
    device = register(db, 1)[0]
    shipment = db.execute("""
        with lane as (insert into coldchain.lane (origin, destination, carrier) values (%(name)s, 'there', '') returning lane_id),
            product as (insert into coldchain.product (name) values (%(name)s) returning product_id),
            lot as (insert into coldchain.lot (product_id, number) select product_id, %(name)s from product returning lot_id),
            shipment as (insert into coldchain.shipment (reference, lane_id, geofenced, state, started_at)
                select %(name)s, lane_id, true, 'shipping', now() - interval '1 day' from lane returning shipment_id),
            inside as (insert into coldchain.shipment_lot (shipment_id, lot_id) select shipment_id, lot_id from shipment, lot returning shipment_id, lot_id)
        select shipment_id, lot_id from inside""", {"name": secrets.token_hex(8)}).fetchone()
    assignment = db.execute("insert into coldchain.assignment (device_id, shipment_id, lot_id, profile_version_id, during) "
                            "select %s, %s, %s, min(profile_version_id), tstzrange(now() - interval '1 day', null) from coldchain.profile_version "
                            "returning assignment_id", [device, *shipment]).fetchone()[0]
    db.commit()
    return device, shipment[0], assignment


def test_who_looks_for_stages_that_move_does_not_wait_for_a_shipment_that_stays(uri, db):
    device, shipment, _ = under_way(db)
    with psycopg.connect(uri) as person, psycopg.connect(uri) as looks:
        person.execute("select from coldchain.shipment where shipment_id = %s for update", [shipment])
        looks.execute("set lock_timeout = '2s'")
        looks.execute("select coldchain.stages_move(%s)", [[device]])


def test_who_corrects_an_assignment_waits_for_a_shipment_that_moves_and_not_both_for_each_other(uri, db):
    _, shipment, assignment = under_way(db)
    with psycopg.connect(uri) as moves, psycopg.connect(uri) as person:
        moves.execute("select from coldchain.shipment where shipment_id = %s for update", [shipment])
        person.execute("select api.enter('concurrency', null, 'admin', null, 'admin', null)")
        other, got = start_until_it_waits(db, person, "select api.assignment_change(%s, %s, '{\"sample_interval_s\": 300}', '*')", [shipment, assignment])
        moves.execute("update coldchain.shipment set state = 'delivered', delivered_at = now() where shipment_id = %s", [shipment])
        moves.commit()
        other.join(30)
        assert got == [None], got


def test_a_cache_sees_a_change_that_is_committed_after_younger_ones(uri, db):
    early, late = register(db, 2)
    db.commit()
    change = "update fleet.device set state = 'disabled' where device_id = %s"
    token = "select pg_snapshot_xmin(pg_current_snapshot())::text"
    pull = "select device_id from fleet.devices_changed(%s::text::xid8, 0, 100000)"
    with psycopg.connect(uri) as slow, psycopg.connect(uri, autocommit=True) as cache:
        slow.execute(change, [late])
        db.execute(change, [early])
        db.commit()
        first = cache.execute(token).fetchone()
        assert late not in [d for (d,) in cache.execute(pull, first)]
        slow.commit()
        assert late in [d for (d,) in cache.execute(pull, first)], "a late commit was missed"


def test_who_computes_hours_takes_devices_that_nobody_else_is_at(uri, db):
    devices = register(db, 2)
    db.execute("select analytics.refresh(1000, '-infinity')")  # what other tests left
    for device in devices:
        db.execute("insert into analytics.due (device_id, since) select %s, now() - interval '1 hour'", [device])
    db.commit()
    call = "select analytics.refresh(1, '-infinity')"  # nothing is taken up
    with psycopg.connect(uri) as one, psycopg.connect(uri, autocommit=True) as two:
        assert (one.execute(call).fetchone()[0], two.execute(call).fetchone()[0]) == (1, 1)
    assert db.execute("select count(*) from analytics.due where device_id = any (%s)", [devices]).fetchone()[0] == 0


def main():
    tests = [(name, test) for name, test in globals().items() if name.startswith("test_")]
    print(f"1..{len(tests)}")
    failed = 0
    for number, (name, test) in enumerate(tests, 1):
        try:
            with psycopg.connect(sys.argv[1]) as db:
                test(sys.argv[1], db)
            print(f"ok {number} - {name}")
        except (AssertionError, psycopg.Error) as failure:
            failed += 1
            print(f"not ok {number} - {name}")
            print("# " + str(failure).replace("\n", "\n# "))
    sys.exit(1 if failed else 0)


main()
