#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Whatever the order, repetition and batching of the same readings, over two sessions at once and with two that refresh meanwhile,
analytics.hour and analytics.day end the same to the last bit: as a naive pass over the whole series, reference() below, gives.
Usage: rollup_property.py DBURI [CASES [SEED]]; the database is a deployed one, devices are added to it."""

import math
import random
import secrets
import sys
import threading
import time

import psycopg

from excursion_property import deliver, moment, series

ROUND = 50  # cases at once


def reference(readings, unit):
    """{(probe, start of the hour): samples, faults, lowest, highest, observed, temperature times seconds, kinetic sum}"""
    found = {}
    for probe in {r[0] for r in readings}:
        for fault in (False, True):
            moments = {}
            for _, ts, epoch, seq, t, f in sorted((r for r in readings if r[0] == probe and r[5] == fault), key=lambda r: r[1:4]):
                if t is not None or fault:
                    moments[ts] = t  # of one moment the last
            times = sorted(moments)
            for ts, after in zip(times, times[1:] + [math.inf]):
                t = moments[ts]
                row = found.setdefault((probe, ts // unit * unit), [0, 0, [], 0.0, 0.0, 0.0])
                row[fault] += 1
                if fault:
                    continue
                row[2].append(t)
                end = after if after - ts <= 1260 else ts + 600
                while ts < end:
                    hour = ts // unit * unit
                    row, lasts = found.setdefault((probe, hour), [0, 0, [], 0.0, 0.0, 0.0]), float(min(end, hour + unit) - ts)
                    row[3] += lasts
                    row[4] += t * lasts
                    row[5] += lasts * math.exp(-10000 / max(t + 273.15, 20))
                    ts = hour + unit
    return {key: (row[0], row[1], min(row[2], default=None), max(row[2], default=None), *row[3:]) for key, row in found.items()}


def days(hours):
    found = {}
    for (probe, hour), row in sorted(hours.items()):
        sums = found.setdefault((probe, hour // 86400 * 86400), [0, 0, [], [], 0.0, 0.0, 0.0])
        for place in (0, 1, 4, 5, 6):
            sums[place] += row[place]
        for place in (2, 3):
            sums[place] += [row[place]] if row[place] is not None else []
    return {key: (r[0], r[1], min(r[2], default=None), max(r[3], default=None), *r[4:]) for key, r in found.items()}


def send(uri, seed, todo, failures):
    rng = random.Random(seed)
    try:
        with psycopg.connect(uri, options="-c synchronous_commit=off") as db:
            while todo:
                size = rng.choice((1, 2, 5, 20, 60))
                deliver(db, rng.random() < 0.5, todo[:size])
                del todo[:size]
    except Exception as error:  # told by the main thread
        failures.append(error)


def refresh(uri, sent, failures):
    try:
        with psycopg.connect(uri, options="-c synchronous_commit=off") as db:
            while True:
                done = sent.is_set()
                n = db.execute("select analytics.refresh(20, 'infinity')").fetchone()[0]
                db.commit()
                if n == 0 and done:
                    if db.execute("select not exists (select from analytics.due)").fetchone()[0]:
                        return
                    time.sleep(0.01)
                elif n == 0:
                    sent.wait(0.01)
    except Exception as error:
        failures.append(error)


def play(uri, db, rng, count):
    tag = secrets.token_hex(8)
    cases, mixed = {}, []
    for n in range(count):
        device = db.execute("select fleet.register_device(%s, 'property', 'property', '')", [f"{tag}-{n}"]).fetchone()[0]
        of = [(probe, *r) for probe in range(rng.choice((1, 1, 2)))
              for r in series(rng, rng.choice((60, 300, 600, 1800)), rng.choice((0, 3000, 80000)), rng.choice((3, 15, 60)))]
        cases[device] = [(p, ts, epoch, seq, t, fault) for p, ts, epoch, seq, t, fault in of]
        told = [(device, p, ts, epoch, seq, t, fault) for p, ts, epoch, seq, t, fault in of]
        how = rng.randrange(4)
        if how == 0:
            rng.shuffle(told)
        elif how == 1:
            told.reverse()
        elif how == 2:  # a late block
            cut = sorted(rng.sample(range(len(told) + 1), 2))
            told = told[:cut[0]] + told[cut[1]:] + told[cut[0]:cut[1]]
        mixed.append(told + rng.sample(told, len(told) // 5))
    db.commit()
    sides = ([], [])
    while mixed:
        mine = rng.choice(mixed)
        stretch = rng.randrange(1, 30)
        sides[rng.randrange(2)].extend(mine[:stretch])
        del mine[:stretch]
        mixed = [m for m in mixed if m]
    sent, failures = threading.Event(), []
    sessions = [threading.Thread(target=send, args=(uri, rng.getrandbits(64), side, failures)) for side in sides]
    others = [threading.Thread(target=refresh, args=(uri, sent, failures)) for _ in range(2)]
    for t in sessions + others:
        t.start()
    for t in sessions:
        t.join()
    sent.set()
    for t in others:
        t.join()
    assert not failures, failures
    rows = 0
    for device, readings in cases.items():
        hours = reference(readings, 3600)
        for table, start, expected in (("hour", "hour", hours), ("day", "day", days(hours))):
            found = {(r[0], r[1]): r[2:] for r in db.execute(
                f"select probe, {start}, samples, faults, min_c, max_c, observed_s, weighted_cs, kinetic_s from analytics.{table}"
                " where device_id = %s", [device])}
            wanted = {(probe, moment(ts)): row for (probe, ts), row in expected.items()}
            assert found == wanted, f"{table}: {[(k, found.get(k), wanted.get(k)) for k in found.keys() | wanted if found.get(k) != wanted.get(k)][:3]}, of {readings}"
            rows += len(found)
    db.commit()
    return rows


def main():
    uri, cases = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 500
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else secrets.randbits(32)
    rng, began, rows = random.Random(seed), time.monotonic(), 0
    with psycopg.connect(uri, options="-c synchronous_commit=off -c timezone=UTC") as db:
        for week in range(3):
            db.execute("select telemetry.ensure_partition(%s)", [moment(week * 7 * 86400)])
        try:
            for first in range(0, cases, ROUND):
                rows += play(uri, db, rng, min(ROUND, cases - first))
        except AssertionError:
            print(f"# seed {seed}", flush=True)
            raise
    print(f"# {cases} cases, {rows} hours and days, seed {seed}, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
