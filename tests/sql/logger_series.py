#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What coldchain says of two series that loggers of another maker recorded, beside what these loggers say themselves: their
minutes out of range within a sampling interval an event, and the mean kinetic temperature of their samples. The files are not
part of the project: COLDFLEET_DATA names their folder, by default shared/data beside the checkout; without it nothing is
tested. Usage: logger_series.py DBURI; the database is a deployed one."""

import csv
import os
import random
import re
import secrets
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import psycopg
from psycopg.types.json import Jsonb

import excursion_property as deliver_as

LOGGERS = Path(os.environ.get("COLDFLEET_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data") / "loggers"
QTAG, ULTRA_LOW = "qtag_RCPJ00010_run02", "fridgetag_ul_100800001215"
MINUTE = 60.0


def minute(text):
    return datetime.strptime(text, "%Y-%m-%d %H:%M").replace(tzinfo=timezone.utc)


class Series:
    """A logger's samples under a profile with its limits, moved by whole days so that they are recent."""

    def __init__(self, db, name, first, last, interval, profile):
        with open(LOGGERS / f"{name}.csv", newline="") as file:
            rows = [(datetime.fromisoformat(r["ts"].replace("Z", "+00:00")), float(r["temperature_c"])) for r in csv.DictReader(file)]
        self.db, self.interval, self.count = db, interval, len(rows)
        self.days = timedelta(days=(datetime.now(timezone.utc) - last).days - 1)
        tag = f"{name[:12]}-{secrets.token_hex(4)}"
        for n in range(0, 8):
            db.execute("select telemetry.ensure_partition(%s)", [first + self.days + timedelta(days=n)])
        version = db.execute("select coldchain.put_profile(%s, %s)", [tag.lower().replace("_", "-"), Jsonb({"source": name, **profile})]).fetchone()[0]
        product = db.execute("insert into coldchain.product (name) values (%s) returning product_id", [tag]).fetchone()[0]
        self.lot = db.execute("insert into coldchain.lot (product_id, number) values (%s, 'L') returning lot_id", [product]).fetchone()[0]
        device = db.execute("select fleet.register_device(%s, 'logger', 'logger', '')", [tag]).fetchone()[0]
        shipment = db.execute("insert into coldchain.shipment (reference, ignore_s, state, started_at) values (%s, 0, 'shipping', %s)"
                              " returning shipment_id", [tag, first + self.days]).fetchone()[0]
        db.execute("insert into coldchain.shipment_lot values (%s, %s)", [shipment, self.lot])
        self.assignment = db.execute(
            "insert into coldchain.assignment (device_id, shipment_id, lot_id, profile_version_id, during, sample_interval_s)"
            " values (%s, %s, %s, %s, tstzrange(%s, %s), %s) returning assignment_id",
            [device, shipment, self.lot, version, first + self.days, last + self.days, interval * 60]).fetchone()[0]
        db.commit()
        start = deliver_as.START
        samples = [(device, 0, int((ts + self.days - start).total_seconds()), 0, n, t, False) for n, (ts, t) in enumerate(rows)]
        random.Random(1).shuffle(samples)
        for n in range(0, len(samples), 100):
            deliver_as.deliver(db, True, samples[n:n + 100])
            db.execute("select coldchain.evaluate(100)")
            db.commit()

    def stays(self, band):
        return [(s - self.days, e and e - self.days, a and a - self.days, out / MINUTE) for s, e, a, out in self.db.execute(
            "select started_at, ended_at, alarm_at, out_s from coldchain.excursion join coldchain.band using (band_id)"
            " where assignment_id = %s and code = %s and state in ('open', 'ended') order by started_at", [self.assignment, band])]

    def exposure(self, band):
        out, alarm = self.db.execute("select out_s, alarm_at from coldchain.exposure where lot_id = %s and band_code = %s", [self.lot, band]).fetchone()
        return out / MINUTE, alarm and alarm - self.days

    def figures(self, first=None, last=None, dh=83.144, r=8.3144):
        return self.db.execute(
            "select observed_s, unobserved_s, samples, mkt_c from coldchain.figures(array[%s], %s::timestamptz, %s::timestamptz, 0.9, %s, %s)",
            [self.assignment, first and first + self.days, last and last + self.days, dh, r]).fetchone()

    def out(self, band, first, last):
        return [s / MINUTE for s in self.db.execute(
            "select out_s, unobserved_s from coldchain.band_figures(array[%s], %s, %s) where band_code = %s",
            [self.assignment, first + self.days, last + self.days, band]).fetchone()]


def events(text, number):
    """Of an alarm in a logger's text: start, alarm, end (None: it lasted) and minutes of each event."""
    block = re.search(rf"\n Alarm:\n(?:  (?!{number}:).*\n|   .*\n)*  {number}:\n((?:   .*\n)+)", text[text.index("\nRes:"):]).group(1)
    return [(minute(s), int(a), minute(al), minute(e) if e else None) for s, a, al, e in
            re.findall(r"TS S: (\S+ \S+), t A: (\d+), TS A: (\S+ \S+?)(?:, TS E: ?(\d\S+ \d\d:\d\d)?.*)?\n", block)]


def test_a_transport_run_is_judged_as_the_logger_judged_it(db):
    text = (LOGGERS / f"{QTAG}.txt").read_text()
    limits = {"hot": (8, None, "single", 1800), "hot-all": (8, None, "cumulative", 3600),
              "cold": (None, 2, "single", 1800), "cold-all": (None, 2, "cumulative", 3600)}
    run = Series(db, QTAG, minute("2022-11-08 04:49"), minute("2022-11-09 01:29"), 10, {
        "storage_lower_c": 2, "storage_upper_c": 8,
        "bands": [{"code": c, "lower_c": low, "upper_c": high, "counting": how, "allowed_s": s} for c, (low, high, how, s) in limits.items()]})
    near = timedelta(minutes=run.interval)
    for number, band in ((1, "hot"), (5, "cold")):
        said = events(text, number)
        alarmed = [stay for stay in run.stays(band) if stay[2]]
        ours = [next(stay for stay in alarmed if abs(stay[0] - s) <= near) for s, *_ in said]
        # What we alarm of and it does not has lasted as long as is allowed only by the samples' resolution: it judges between them.
        print(f"#   {band}: {len(alarmed)} alarms, {len(said)} of which the logger has")
        assert said and all(out - run.interval <= limits[band][3] / MINUTE for *_, out in alarmed if out not in [o[3] for o in ours])
        for (start, end, alarm, out), (s, minutes, a, e) in zip(ours, said):
            print(f"#   {band}: {out:.0f} minutes from {start:%H:%M}, alarm {alarm:%H:%M}; the logger: {minutes} from {s:%H:%M}, alarm {a:%H:%M}")
            assert abs(start - s) <= near and abs(out - minutes) <= run.interval and abs(alarm - a) <= near
            assert e is None or abs(end - e) <= near
    for number, band in ((2, "hot-all"), (4, "cold-all")):
        (out, alarm), ((s, minutes, a, _),) = run.exposure(band), events(text, number)
        n = len(run.stays(band))
        print(f"#   {band}: {out:.0f} minutes in {n} events, alarm {alarm:%H:%M}; the logger: {minutes}, alarm {a:%H:%M}")
        # Its alarm falls between the samples that each event before it added up to.
        before = sum(1 for stay in run.stays(band) if stay[0] <= alarm)
        assert abs(out - minutes) <= run.interval * n and abs(alarm - a) <= near * before
    observed, unobserved, samples, mkt = run.figures()
    other = run.figures(dh=83.0, r=8.314472)[3]
    print(f"#   {samples} samples, {observed / MINUTE:.0f} minutes, mean kinetic temperature {mkt:.5f}, with 83.0 and 8.314472 {other:.5f}")
    assert (observed / MINUTE, unobserved, samples) == (1240, 0, 124)
    assert abs(mkt - 10.59477) < 1e-4 and abs(other - 10.58408) < 1e-4


def test_an_ultra_low_refrigerator_that_is_too_warm_is_in_violation_throughout(db):
    text = (LOGGERS / f"{ULTRA_LOW}.txt").read_text()
    first, last = minute("2023-04-17 16:06"), minute("2023-04-20 14:11")
    run = Series(db, ULTRA_LOW, first, last, 5, {
        "storage_lower_c": -90, "storage_upper_c": -60,
        "bands": [{"code": "warm", "lower_c": -60, "counting": "single", "allowed_s": 3600},
                  {"code": "cold", "upper_c": -90, "counting": "single", "allowed_s": 3600}]})
    ((start, end, alarm, out),) = run.stays("warm")
    observed, unobserved, samples, _ = run.figures()
    print(f"#   one excursion of {out:.0f} minutes from {start:%H:%M}, alarm {alarm:%H:%M}; {samples} samples, {unobserved / MINUTE:.0f} minutes unobserved")
    assert (start, alarm, end) == (minute("2023-04-17 16:21"), minute("2023-04-17 17:21"), last) and not run.stays("cold")
    assert samples == 835 and text.count("--.-") == 6 and unobserved / MINUTE == 6 * run.interval and out * MINUTE == observed
    for day, minutes in re.findall(r"Date: (\S+)\n(?:.*\n)*?   1:\n    t Acc: (\d+)", text):
        starts = minute(f"{day} 00:00")
        out, missing = run.out("warm", max(first, starts), min(last, starts + timedelta(days=1)))
        print(f"#   {day}: {out:.0f} minutes and {missing:.0f} unobserved; the logger: {minutes}")
        assert out - run.interval <= int(minutes) <= out + missing + run.interval


def main():
    if not LOGGERS.is_dir():
        print("1..0 # SKIP the loggers' files are not here")
        return
    failed = False
    with psycopg.connect(sys.argv[1]) as db:
        for claim in (test_a_transport_run_is_judged_as_the_logger_judged_it, test_an_ultra_low_refrigerator_that_is_too_warm_is_in_violation_throughout):
            try:
                claim(db)
                print(f"ok - {claim.__name__}")
            except AssertionError as failure:
                print(f"not ok - {claim.__name__}: {failure}")
                failed = True
    sys.exit(failed)


main()
