# SPDX-License-Identifier: Apache-2.0
"""ops/bench query: how long analysts wait, over a fleet whose readings are made in SQL: figures of a 30-day assignment, a page of the
fleet's excursions, hours and days of all devices for a day, and each question of docs/analyst.md."""

import argparse
import json
import os
import re
import shlex
import sys
import time

import psycopg

from bench import ROOT, Failure, Late, Private, end_in_time, number, run, tell

LIMIT = 3600  # seconds for all of it, but for removing it
GOALS = {"figures": 20, "excursions": 50, "daily_rollup": 10_000}  # milliseconds; of a question 2000
FIGURES = "SELECT * FROM coldchain.figures(ARRAY[%(a)s])"
EXCURSIONS = ("SELECT d.serial, s.reference, e.* FROM analytics.excursion AS e JOIN analytics.device AS d USING (device_id)"
              " JOIN analytics.shipment AS s USING (shipment_id) ORDER BY e.started_at DESC, e.excursion_id LIMIT 100")


def questions():
    text = (ROOT / "docs" / "analyst.md").read_text()
    return {f"question_{n}": sql for n, sql in re.findall(r"^### (\d+)\. .*?^```sql\n(.*?)^```", text, re.S | re.M)}


class Database(Private):
    """A private PostgreSQL with the schema and nothing else."""

    def start(self, given):
        tell("starting PostgreSQL")
        self.demo("--database")
        lines = (shlex.split(line)[1] for line in (self.dir / "env").read_text().splitlines() if line.startswith("export COLDFLEET_"))
        self.env = dict(line.split("=", 1) for line in lines)
        self.psql("-c", "select coldchain.put_profile('bench', '{\"source\": \"bench\", \"storage_lower_c\": 2, \"storage_upper_c\": 8,"
                  " \"effective_from\": \"2020-01-01\", \"bands\": [{\"code\": \"hot\", \"lower_c\": 8, \"counting\": \"cumulative\", \"allowed_s\": 36000},"
                  " {\"code\": \"freeze\", \"upper_c\": -0.5, \"counting\": \"single\", \"allowed_s\": 3600}]}')")
        tell(f"filling in {given.devices} devices and {given.readings} readings")
        run("psql", "-X", "-d", self.env["COLDFLEET_DB_OWNER"], "-v", f"devices={given.devices}", "-v", f"readings={given.readings}",
            "-f", ROOT / "ops/lib/bench_query.sql", stdout=sys.stderr)

    def repeat(self, statement, what):
        """Calls a statement, each time in a transaction of its own, until it has nothing more to do."""
        done = 0
        with psycopg.connect(self.env["COLDFLEET_DB_OWNER"], autocommit=True) as db:
            while n := db.execute(statement).fetchone()[0]:
                done += n
                tell(f"{what}: {done}")


def timed(db, sql, parameters):
    began = time.monotonic()
    rows = len(db.execute(sql, parameters).fetchall())
    return (time.monotonic() - began) * 1000, rows


def measured(case, taken):
    at = sorted(ms for ms, _ in taken)
    return {"bench": "query", "case": case, "rows": taken[-1][1], "p50_ms": round(at[len(at) // 2], 3), "p99_ms": round(at[len(at) * 99 // 100], 3)}


def rollup(database):
    """A day of all devices, as coldfleet-notify does it, by and by: rows are hours of that day."""
    with psycopg.connect(database.env["COLDFLEET_DB_OWNER"], autocommit=True) as db:
        db.execute("delete from analytics.hour where hour >= date_trunc('hour', now() - interval '1 day')")
        db.execute("delete from analytics.day where day >= now() - interval '1 day'")
        db.execute("update telemetry.device_state set rollup_from = now() - interval '1 day' where reading_ts is not null")
        db.execute("vacuum analytics.hour, analytics.day, telemetry.device_state")
        db.execute("checkpoint")
        began = time.monotonic()
        while db.execute("select analytics.refresh(200, 'infinity')").fetchone()[0]:
            pass
        took = (time.monotonic() - began) * 1000
        return [(took, db.execute("select count(*) from analytics.hour where hour >= date_trunc('hour', now() - interval '1 day')").fetchone()[0])]


def measure(database, given):
    results = []
    with psycopg.connect(database.env["COLDFLEET_DB_ANALYST"], autocommit=True) as db:
        long = [a for a, in db.execute("select assignment_id from analytics.assignment where judged_from < now() - interval '29 days'")]
        db.execute(FIGURES, {"a": long[0]}).fetchall()
        tell("measuring figures of assignments of 30 days, pages of excursions")
        results.append(measured("figures", [timed(db, FIGURES, {"a": long[n % len(long)]}) for n in range(given.rounds * 20)]))
        results.append(measured("excursions", [timed(db, EXCURSIONS, None) for _ in range(given.rounds * 20)]))
        tell("measuring hours and days of all devices for a day")
        results.append(measured("daily_rollup", rollup(database)))
        for case, sql in questions().items():
            tell(f"measuring {case}")
            results.append(measured(case, [timed(db, sql.replace("%", "%%"), ()) for _ in range(given.rounds)]))
    return results


def report(results, given, load):
    if not given.json:
        print(f"{given.devices:,} devices, {given.readings:,} readings, {os.cpu_count()} cores, load before {load:.1f}\n")
        print(f"{'case':14}{'rows':>10}{'p50_ms':>12}{'p99_ms':>12}  goal")
        for r in results:
            goal = GOALS.get(r["case"], 2000)
            print(f"{r['case']:14}{r['rows']:>10,}{r['p50_ms']:>12,.1f}{r['p99_ms']:>12,.1f}  p50 at most {goal:,} ms: "
                  f"{'met' if r['p50_ms'] <= goal else 'missed'}")
        print()
    for r in results:
        print(json.dumps(r))


def main():
    parser = argparse.ArgumentParser(prog="ops/bench query", allow_abbrev=False)
    parser.add_argument("--devices", type=number(100, 1_000_000), default=20_000)
    parser.add_argument("--readings", type=number(10_000, 1_000_000_000), default=20_000_000)
    parser.add_argument("--rounds", type=number(1, 100), default=5)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    end_in_time(LIMIT, "fewer --readings take less")
    load, results = os.getloadavg()[0], []
    try:
        with Database() as database:
            database.start(given)
            database.repeat("select coldchain.evaluate(500)", "evaluated")
            database.repeat("select analytics.refresh(2000, 'infinity')", "hours and days, taken up and computed")
            database.psql("-c", "VACUUM (ANALYZE) analytics.hour, analytics.day, coldchain.excursion, coldchain.exposure")
            results = measure(database, given)
    except (Failure, Late, psycopg.Error) as e:
        tell(e)
    if results:
        report(results, given, load)
    sys.exit(0 if results else 1)


main()
