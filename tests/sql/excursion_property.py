#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Whatever the order, repetition and batching of the same readings, over two sessions at once, with assignments made and
corrected meanwhile and two evaluators at work, coldchain.evaluate() ends with the same excursions and exposures: those that
a naive reading of the whole series, reference() below, gives. Readings are stored with the statements of coldfleet-ingest.
Usage: excursion_property.py DBURI [CASES [SEED]]; the database is a deployed one, devices are added to it."""

import random
import re
import secrets
import sys
import threading
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import psycopg

START = datetime(2026, 9, 1, tzinfo=timezone.utc)
QUERIES = Path(__file__).resolve().parents[2] / "schema" / "queries"
ROUND = 50  # cases at once
BANDS = [  # code, lower, inclusive, upper, inclusive, counting, allowed sampling intervals
    [("hot", 8, False, None, False, "single", 3), ("cold", None, False, -0.5, True, "single", 1)],
    [("hot", 8, True, None, False, "cumulative", 10), ("cold", None, False, 2, False, "single", 0)],
    [("warm", 8, False, 25, True, "cumulative", 4), ("hot", 25, False, None, False, "single", 0), ("cold", None, False, 0, False, "cumulative", 0)],
    [("hot", 8, False, None, False, "single", 30)],
]
LOWER, UPPER = 2, 8  # storage, so no band reaches in


# ---- the reference: one pass over the whole series ----


def reference(readings, judged, interval, band):
    """Excursions of one probe in one band. Times and durations are seconds; judged is (from, to or None)."""
    code, lower, lower_in, upper, upper_in, counting, allowed = band
    samples = {}
    for ts, epoch, seq, temperature, fault in sorted(readings):
        if temperature is not None and not fault and judged[0] <= ts and (judged[1] is None or ts < judged[1]):
            samples[ts] = temperature  # of one moment the last
    samples = sorted(samples.items())
    found, stay = [], None
    for n, (ts, t) in enumerate(samples):
        after = samples[n + 1][0] if n + 1 < len(samples) else None
        if after is not None and (after - ts) * 10 <= interval * 21:
            held = after
        elif after is not None or judged[1] is not None:
            held = min(end for end in (ts + interval, after, judged[1]) if end is not None)
        else:
            held = ts
        above = lower is None or t > lower or (lower_in and t == lower)
        below = upper is None or t < upper or (upper_in and t == upper)
        if above and below:
            if stay is None:
                stay = {"start": ts, "out": 0, "alarm": None, "temperatures": [], "observed": set(), "moments": set(), "ended": None}
                found.append(stay)
            if counting == "single" and stay["alarm"] is None and stay["out"] + held - ts >= allowed:
                stay["alarm"] = ts + allowed - stay["out"]
            stay["out"] += held - ts
            stay["observed"].update(range(ts, held))
            stay["temperatures"].append(t)
            stay["moments"].add(ts)
            stay["last"] = ts
        elif stay is not None:
            stay["ended"], stay = ts, None
    if stay is not None:
        stay["ended"] = judged[1]
    return found


def exposure(stays, counting, allowed):
    """Of one lot and band, from the excursions of all its probes: second by second."""
    seconds = sorted(set().union(*(s["observed"] for s in stays)))
    if counting == "single":
        alarm = min((s["alarm"] for s in stays if s["alarm"] is not None), default=None)
    elif allowed == 0:
        alarm = min(s["start"] for s in stays)
    else:
        alarm = seconds[allowed - 1] + 1 if len(seconds) >= allowed else None
    return len(seconds), max(s["out"] for s in stays), len(stays), min(s["start"] for s in stays), alarm


def totals(readings, judged, interval, band):
    """In range, out, unobserved, longest stay and the longest that unobserved time may hide, second by second."""
    stays = reference(readings, judged, interval, band)
    rest = reference(readings, judged, interval, ("all", None, False, None, False, "single", 0))
    if not rest:
        return None
    end = rest[-1]["last"] if judged[1] is None else judged[1]
    seen, out = rest[0]["observed"], set().union(*(s["observed"] for s in stays))
    longest = run = 0
    good = {ts for ts, *_ in readings if judged[0] <= ts < end + 1} & rest[0]["moments"] - set().union(*(s["moments"] for s in stays))
    for second in range(judged[0], end):
        run = 0 if second in good else run
        run = 0 if second in seen and second not in out else run + 1
        longest = max(longest, run)
    return (float(len(seen) - len(out)), float(len(out)), float(end - judged[0] - len(seen)), float(max((s["out"] for s in stays), default=0)),
            float(longest))


# ---- cases ----


def series(rng, interval, first, count):
    """(ts, epoch, seq, temperature, fault): a walk that likes thresholds and stays on them, with gaps and oddities."""
    levels = [-1.0, -0.5, -0.25, 0.0, 1.75, 2.0, 5.0, 7.75, 8.0, 8.25, 12.0, 25.0, 25.25]
    out, ts, level, seq = [], first, rng.randrange(len(levels)), 0
    for _ in range(count):
        if rng.random() < 0.35:
            level = min(max(level + rng.choice((-2, -1, 1, 2)), 0), len(levels) - 1)
        t = None if rng.random() < 0.02 else levels[level]
        out.append((ts, 0, seq, t, rng.random() < 0.03))
        seq += 1
        if rng.random() < 0.02:
            out.append((ts, rng.choice((0, 1)), seq, rng.choice(levels), False))
            seq += 1
        step = rng.choice((1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 3, 7))
        ts += step * interval + rng.choice((0, 0, 0, 0, 1, -1, interval // 10, interval // 10 + 1))
    return out


def moment(ts):
    return None if ts is None else START + timedelta(seconds=ts)


def span(times):
    return "empty" if times is None else f"[{moment(times[0]).isoformat()},{'' if times[1] is None else moment(times[1]).isoformat()})"


class Case:
    """A lot that one or two shipments carry, each with a device of one or two probes."""

    def __init__(self, db, rng, tag, profiles):
        self.kind = rng.randrange(len(BANDS))
        self.interval = rng.choice((60, 300, 600))
        self.bands = [(*b[:6], b[6] * self.interval) for b in BANDS[self.kind]]
        version = profiles[self.kind, self.interval]
        other = profiles[(self.kind + 1) % len(BANDS), self.interval]
        lot = db.execute("insert into coldchain.lot (product_id, number) values (%s, %s) returning lot_id", [profiles["product"], tag]).fetchone()[0]
        self.lot, self.watched, self.readings, self.actions = lot, [], [], []
        first = 0
        for leg in range(rng.choice((1, 1, 2))):
            count = rng.choice((4, 15, 40))
            device = db.execute("select fleet.register_device(%s, 'property', 'property', '')", [f"{tag}-{leg}"]).fetchone()[0]
            shipment = db.execute("insert into coldchain.shipment (reference, ignore_s) values (%s, %s) returning shipment_id",
                                  [f"{tag}-{leg}", rng.choice((0, 600))]).fetchone()[0]
            db.execute("insert into coldchain.shipment_lot values (%s, %s)", [shipment, lot])
            length = count * self.interval
            started, delivered = first + rng.choice((0, -3600, length // 5)), rng.choice((None, first + length, first + length // 2 + 7))
            if delivered is not None and delivered <= started:
                delivered = None
            begin = first + rng.choice((-7200, 0, length // 7))
            end = rng.choice((None, None, first + length + 3600, first + length * 2 // 3))
            right, wrong = (begin, end), rng.choice((None, (begin - 600, begin + length // 3), (begin + 900, None)))
            ignored = db.execute("select ignore_s from coldchain.shipment where shipment_id = %s", [shipment]).fetchone()[0]
            judged_from = max(begin, started + ignored)
            ends = [e for e in (end, delivered) if e is not None]
            judged = (judged_from, min(ends) if ends else None)
            for probe in range(rng.choice((1, 1, 2))):
                ambient = probe > 0 and rng.random() < 0.3
                row = [device, probe, shipment, lot, rng.choice((version, version, other)), "product",
                       span(rng.choice((right, right, wrong))), rng.choice((self.interval, 900))]
                if ambient:
                    row[5] = "ambient"
                readings = series(rng, self.interval, first + rng.choice((0, -1800)), count)
                self.readings += [(device, probe, *r) for r in readings]
                self.actions.append((
                    "insert into coldchain.assignment (device_id, probe, shipment_id, lot_id, profile_version_id, role, during, sample_interval_s)"
                    " values (%s, %s, %s, %s, %s, %s, %s, %s)", row))
                self.actions.append((
                    "update coldchain.assignment set during = %s, profile_version_id = %s, sample_interval_s = %s"
                    " where device_id = %s and probe = %s", [span(right), version, self.interval, device, probe]))
                empty = judged[1] is not None and judged[1] <= judged[0]
                self.watched.append((device, probe, None if ambient or empty else judged, readings))
            self.actions.append(("update coldchain.shipment set state = 'shipping', started_at = %s where shipment_id = %s",
                                 [moment(started + rng.choice((0, 0, 1200))), shipment]))
            self.actions.append(("update coldchain.shipment set started_at = %s where shipment_id = %s", [moment(started), shipment]))
            if delivered is not None:
                self.actions.append(("update coldchain.shipment set state = 'delivered', delivered_at = %s where shipment_id = %s",
                                     [moment(delivered), shipment]))
            first += rng.choice((0, length, length // 2))

    def expected(self):
        rows, lots = [], []
        for band in self.bands:
            stays = []
            for device, probe, judged, readings in self.watched:
                for s in reference(readings, judged, self.interval, band) if judged else ():
                    stays.append(s)
                    end = s["last"] if s["ended"] is None else s["ended"]
                    worst = s["start"] + band[6] if band[5] == "single" and end - s["start"] >= band[6] else None
                    rows.append((device, probe, band[0], moment(s["start"]), moment(s["last"]), moment(s["ended"]), moment(s["alarm"]),
                                 moment(worst), float(s["out"]), float(end - s["start"] - s["out"]), float(len(s["observed"])),
                                 min(s["temperatures"]), max(s["temperatures"]), len(s["temperatures"])))
            if stays:
                out, longest, count, first, alarm = exposure(stays, band[5], band[6])
                lots.append((band[0], band[5], band[6], float(out), float(longest), count, moment(first), moment(alarm)))
        return sorted(rows, key=repr), sorted(lots, key=repr)

    def found(self, db):
        rows = db.execute(
            "select e.device_id, e.probe, b.code, e.started_at, e.last_at, e.ended_at, e.alarm_at, e.worst_alarm_at, e.out_s, e.unobserved_s,"
            " coldchain.length_s(e.observed), e.min_c, e.max_c, e.samples"
            " from coldchain.excursion as e join coldchain.assignment as a using (assignment_id) join coldchain.band as b using (band_id)"
            " where a.lot_id = %s and e.state in ('open', 'ended')", [self.lot]).fetchall()
        lots = db.execute(
            "select band_code, counting, allowed_s, out_s, longest_s, excursions, first_at, alarm_at from coldchain.exposure where lot_id = %s",
            [self.lot]).fetchall()
        return sorted(rows, key=repr), sorted(lots, key=repr)


# ---- delivery, as coldfleet-ingest does it ----


def statement(name):
    text = "\n".join(line for line in (QUERIES / f"{name}.sql").read_text().split("\n") if not line.startswith("--"))
    return re.sub(r"\$(\d+)", r"%(p\1)s", text.replace("%", "%%"))


STORE, ADVANCE = statement("ingest_store_readings"), statement("ingest_advance")


def deliver(db, fresh, batch):
    rows = sorted({(device, ts, probe, epoch, seq, t, fault) for device, probe, ts, epoch, seq, t, fault in batch}, key=lambda r: r[:5])
    now = datetime.now(timezone.utc)
    args = {f"p{n}": None for n in range(1, 35)}
    store = dict(args, p1=[r[0] for r in rows], p2=[moment(r[1]) for r in rows], p3=[now] * len(rows), p4=[r[4] for r in rows],
                 p5=[r[3] for r in rows], p6=[r[2] for r in rows], p7=[r[5] for r in rows], p20=[1 if r[6] else None for r in rows], p22=fresh)
    devices = sorted({r[0] for r in rows})
    of = [[r for r in rows if r[0] == d] for d in devices]
    good = [[r[5] for r in mine if r[5] is not None and not r[6]] for mine in of]
    state = dict(args, p1=devices, p2=[now] * len(devices), p3=[moment(max(r[1] for r in mine)) for mine in of],
                 p32=[min(g, default=None) for g in good], p33=[max(g, default=None) for g in good],
                 p34=[moment(min(r[1] for r in mine)) for mine in of])
    db.execute(STORE, store)
    db.execute(ADVANCE, state)
    db.commit()


def work(uri, seed, todo, failures):
    """Sends what one session sends: actions in their order, readings in batches."""
    rng = random.Random(seed)
    try:
        with psycopg.connect(uri, options="-c synchronous_commit=off") as db:
            batch, size = [], 1
            for kind, what in todo + [("end", None)]:
                if kind == "reading" and len(batch) < size:
                    batch.append(what)
                    continue
                if batch:
                    deliver(db, rng.random() < 0.5, batch)
                batch, size = ([what] if kind == "reading" else []), rng.choice((1, 2, 5, 20, 60))
                if kind == "action":
                    db.execute(*what)
                    db.commit()
    except Exception as error:  # told by the main thread
        failures.append(error)


def evaluator(uri, sent, failures, counts):
    try:
        with psycopg.connect(uri, options="-c synchronous_commit=off") as db:
            while True:
                done = sent.is_set()
                n = db.execute("select coldchain.evaluate(20)").fetchone()[0]
                db.commit()
                counts.append(n)
                if n == 0 and done:
                    if db.execute("select not exists (select from coldchain.due)").fetchone()[0]:
                        return
                    time.sleep(0.01)
                elif n == 0:
                    sent.wait(0.05)
    except Exception as error:
        failures.append(error)


def told(rng, cases):
    """What is sent: readings in some order, a part of them twice, actions of a case in their order among them."""
    out = []
    for case in cases:
        readings = [("reading", r) for r in case.readings]
        how = rng.randrange(4)
        if how == 0:
            rng.shuffle(readings)
        elif how == 1:
            readings.reverse()
        elif how == 2:  # a late block
            cut = sorted(rng.sample(range(len(readings) + 1), 2))
            readings = readings[:cut[0]] + readings[cut[1]:] + readings[cut[0]:cut[1]]
        readings += rng.sample(readings, len(readings) // 5)
        spots = sorted(rng.choice((0, rng.randrange(len(readings) + 1))) for _ in case.actions)
        for spot, action in reversed(list(zip(spots, case.actions))):
            readings.insert(spot, ("action", action))
        out.append(readings)
    # Cases take turns, a stretch each.
    mixed = []
    while out:
        mine = rng.choice(out)
        stretch = rng.randrange(1, 30)
        mixed += mine[:stretch]
        del mine[:stretch]
        out = [m for m in out if m]
    return mixed


def split(rng, mixed):
    """Two sessions: actions by the first, readings by either."""
    sides = ([], [])
    for what in mixed:
        sides[0 if what[0] == "action" else rng.randrange(2)].append(what)
    return sides


def play(uri, db, rng, profiles, count, counts):
    tag = secrets.token_hex(8)
    cases = [Case(db, rng, f"{tag}-{n}", profiles) for n in range(count)]
    db.commit()
    sent, failures = threading.Event(), []
    evaluators = [threading.Thread(target=evaluator, args=(uri, sent, failures, counts)) for _ in range(2)]
    sessions = [threading.Thread(target=work, args=(uri, rng.getrandbits(64), side, failures)) for side in split(rng, told(rng, cases))]
    for t in sessions + evaluators:
        t.start()
    for t in sessions:
        t.join()
    sent.set()
    for t in evaluators:
        t.join()
    assert not failures, failures
    found = 0
    for n, case in enumerate(cases):
        want, have = case.expected(), case.found(db)
        for what, w, h in zip(("excursions", "exposures"), want, have):
            assert w == h, f"case {n}, lot {case.lot}: {what}\nfound but not expected {[r for r in h if r not in w]}\nexpected but not found {[r for r in w if r not in h]}"
        found += len(want[0])
        if n % 10 == 0:
            check_totals(db, case)
    wrong = db.execute(
        "select e.excursion_id from coldchain.excursion as e left join coldchain.excursion_revision as r using (excursion_id, revision)"
        " where (r.state, r.started_at, r.ended_at, r.alarm_at) is distinct from (e.state, e.started_at, e.ended_at, e.alarm_at)"
        " or (e.state = 'ended' and (r.out_s, r.last_at) is distinct from (e.out_s, e.last_at))").fetchall()
    assert not wrong, f"the last revision says something else: {wrong[:5]}"
    # One that ends with what is judged is watched until a reading is as late; nobody looks when that comes after the end.
    left = db.execute("select s.device_id from telemetry.device_state as s cross join lateral (select coalesce(bool_or(e.state = 'open'), false) as open,"
                      " coalesce(bool_or(e.ended_at > s.reading_ts), false) as beyond, coalesce(bool_or(e.ended_at = upper(a.judged)), false) as to_end"
                      " from coldchain.excursion as e join coldchain.assignment as a using (assignment_id)"
                      " where e.device_id = s.device_id and e.state in ('open', 'ended')) as x"
                      " where watch_all is distinct from true and watch_low is not null and (open or beyond)"
                      " or watch_all and (watch_low is null or not (open or to_end))").fetchall()
    assert not left, f"flags of devices {left[:5]} do not say whether an excursion goes on"
    db.commit()
    return found


def check_totals(db, case):
    want = {}
    for device, probe, judged, readings in case.watched:
        for band in case.bands:
            if judged and (sums := totals(readings, judged, case.interval, band)):
                want[device, probe, band[0]] = sums
    have = {tuple(r[:3]): tuple(r[3:]) for r in db.execute(
        "select device_id, probe, band_code, in_range_s, out_s, unobserved_s, longest_s, worst_longest_s from coldchain.total where lot_id = %s",
        [case.lot])}
    assert have == want, f"totals of lot {case.lot}: {[(k, have.get(k), want.get(k)) for k in {*have, *want} if have.get(k) != want.get(k)]}"


def catalogue(db):
    profiles = {"product": db.execute("insert into coldchain.product (name) values (%s) returning product_id", [f"property {time.time_ns()}"]).fetchone()[0]}
    for kind, bands in enumerate(BANDS):
        for interval in (60, 300, 600):
            body = {"source": "property", "storage_lower_c": LOWER, "storage_upper_c": UPPER, "effective_from": "2026-01-01",
                    "bands": [{"code": b[0], "lower_c": b[1], "lower_inclusive": b[2], "upper_c": b[3], "upper_inclusive": b[4],
                               "counting": b[5], "allowed_s": b[6] * interval} for b in bands]}
            profiles[kind, interval] = db.execute("select coldchain.put_profile(%s, %s)", [f"property-{kind}-{interval}", psycopg.types.json.Jsonb(body)]).fetchone()[0]
    for days in range(-7, 22, 7):
        db.execute("select telemetry.ensure_partition(%s)", [START + timedelta(days=days)])
    db.commit()
    return profiles


def main():
    uri = sys.argv[1]
    cases = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 20260901
    began, found, counts = time.monotonic(), 0, []
    with psycopg.connect(uri) as db:
        profiles = catalogue(db)
        for n in range(0, cases, ROUND):
            try:
                found += play(uri, db, random.Random(seed + n), profiles, min(ROUND, cases - n), counts)
            except AssertionError as failure:
                sys.exit(f"round of case {n}, seed {seed + n}: {failure}")
    print(f"{cases} cases from seed {seed}, {found} excursions, {sum(counts)} evaluations of devices, {time.monotonic() - began:.0f} s: "
          "any order ends as the reference says")


if __name__ == "__main__":
    main()
