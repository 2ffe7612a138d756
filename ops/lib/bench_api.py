# SPDX-License-Identifier: Apache-2.0
"""ops/bench api: how fast coldfleet-api answers, and how much of that is PostgreSQL's own time.

Single devices are measured by wrk and, in turns, by pgbench with the very statements of the API in the same kind of
pipeline over as many connections. Pages and summary are asked for at a fixed rate, and a latency counts from the moment
at which the request was due, so that a slow answer is not hidden by the requests that it holds up."""

import argparse
import contextlib
import hashlib
import http.client
import json
import os
import re
import statistics
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

from bench import ROOT, Failure, Late, Private, end_in_time, number, run, tell

ROUNDS = 3
CONNECTIONS = 4  # what api.connections is without a setting
CLIENTS = 16  # connections of wrk
RATE = 200  # requests a second of the paced cases
PAGES = ("state=active&battery_below=20", "model=Bench-2&silent_for=12h", "firmware=1.4.0&battery_below=5", "state=disabled&model=Bench-1",
         "state=active&in_excursion=true")
COLUMNS = ("per_s", "pgbench_per_s", "ratio", "p50_ms", "p99_ms", "rss_mib")
GOALS = {"device": ("ratio", 0.4, "at least"), "fleet_page": ("p99_ms", 50, "at most"), "summary": ("p99_ms", 50, "at most"),
         "readings_csv": ("per_s", 200_000, "at least")}
RSS_GOAL = 64
LIMIT = 345  # seconds for all of it, but for removing it


class Stack(Private):
    """A private coldfleet, of which only PostgreSQL and coldfleet-api go on running once the fleet is filled in."""

    def start(self, given):
        tell("building, then starting PostgreSQL and coldfleet-api")
        self.up()
        for part in ("notify", "bridge", "signer", "ingest", "broker", "api"):
            self.demo("stop", part)
        tell(f"filling in {given.devices} devices and {given.readings} readings of one of them")
        run("psql", "-X", "-d", self.env["COLDFLEET_DB_OWNER"], "-v", f"devices={given.devices}", "-v", f"readings={given.readings}",
            "-f", ROOT / "ops/lib/bench_fill.sql", stdout=sys.stderr)
        with open(self.dir / "coldfleet.ini", "a") as f:  # [api] is its last section
            f.write("rate_per_token = 0\n")
        self.demo("start", "api")
        self.pid = int((self.dir / "run" / "api.pid").read_text().split()[0])
        self.token = self.env["COLDFLEET_TOKEN_VIEWER"]
        self.address = urlsplit(self.env["COLDFLEET_API"]).netloc

    def connect(self):
        return http.client.HTTPConnection(self.address, timeout=60)

    def get(self, connection, path):
        connection.request("GET", path, headers={"Authorization": f"Bearer {self.token}"})
        answer = connection.getresponse()
        if answer.status != 200:
            raise Failure(f"GET {path}: expected 200, got {answer.status}: {answer.read()[:300]!r}")
        return answer

    @contextlib.contextmanager
    def peak(self, result):
        """Writes the most memory that the process held meanwhile into the result."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")
        yield
        status = Path(f"/proc/{self.pid}/status").read_text()
        result["rss_mib"] = int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024


def statement(name, *values):
    """A statement of the API, word for word, with values in place of its parameters."""
    text = re.sub(r"--.*", "", (ROOT / "schema" / "queries" / f"{name}.sql").read_text())
    return " ".join(re.sub(r"\$(\d)", lambda m: values[int(m[1]) - 1], text).split()) + ";"


def pgbench_script(stack, given):
    digest = hashlib.sha256(stack.token.encode()).hexdigest()
    script = stack.dir / "device.pgbench"
    script.write_text("\n".join([f"\\set n random(1, {given.devices})", "\\startpipeline",
                                 statement("api_begin", f"'\\x{digest}'", "'viewer'", "'bench'"),
                                 statement("api_device", "('bench-' || :n)"), "\\endpipeline", ""]))
    return script


def pgbench_device(stack, given, script):
    uri = re.sub("user=postgres", "user=coldfleet_api", stack.env["COLDFLEET_DB_OWNER"])
    said = run("pgbench", "-n", "-M", "prepared", "-c", CONNECTIONS, "-j", 1, "-T", given.seconds, "-f", script, uri)
    failed = re.search(r"number of failed transactions: (\d+)", said)
    rate = re.search(r"tps = ([\d.]+)", said)
    if not rate or failed and int(failed[1]):
        raise Failure(f"pgbench: expected a rate and no failed transaction: {said}")
    return float(rate[1])


def wrk_device(stack, given):
    said = run("wrk", "-t", 1, "-c", CLIENTS, "-d", f"{given.seconds}s", "--timeout", "10s", "--latency", "-s",
               ROOT / "ops/lib/bench_wrk.lua", f"http://{stack.address}/",
               environ={"BENCH_TOKEN": stack.token, "BENCH_DEVICES": str(given.devices)}.items())
    counted = json.loads(said.strip().splitlines()[-1])
    if counted["failed"] or not counted["requests"]:
        raise Failure(f"wrk: expected answers with status 200 and no other: {said}")
    return {"per_s": counted["requests"] / counted["seconds"], "p50_ms": counted["p50_ms"], "p99_ms": counted["p99_ms"]}


def medians(rounds):
    return {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}


def device(stack, given):
    script = pgbench_script(stack, given)
    rounds = []
    for _ in range(ROUNDS):
        beside = pgbench_device(stack, given, script)
        one = wrk_device(stack, given)
        rounds.append({**one, "pgbench_per_s": beside, "ratio": one["per_s"] / beside})
    return medians(rounds)


class Pacer:
    """Requests at a fixed rate, over eight connections that take turns."""

    def __init__(self, stack, paths, seconds):
        self.stack, self.paths, self.seconds = stack, paths, seconds
        self.latencies, self.answered, self.failures = [], [], []

    def client(self, first, began, step=8):
        connection = self.stack.connect()
        try:
            for n in range(first, RATE * self.seconds, step):
                due = began + n / RATE
                time.sleep(max(0.0, due - time.monotonic()))
                # Far behind: what was due is not asked for any more, but counts as having waited until now.
                if time.monotonic() < began + 2 * self.seconds and not self.failures:
                    self.stack.get(connection, self.paths[n % len(self.paths)]).read()
                    self.answered.append(n)
                self.latencies.append((time.monotonic() - due) * 1000)
        except (Failure, OSError, http.client.HTTPException) as e:
            self.failures.append(e)
        finally:
            connection.close()

    def run(self):
        began = time.monotonic() + 0.05
        clients = [threading.Thread(target=self.client, args=(n, began), daemon=True) for n in range(8)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        if self.failures:
            raise Failure(str(self.failures[0]))
        at = sorted(self.latencies)
        return {"per_s": len(self.answered) / (time.monotonic() - began), "p50_ms": at[len(at) // 2], "p99_ms": at[len(at) * 99 // 100]}


def paced(stack, given, paths):
    with contextlib.closing(stack.connect()) as warm:
        for path in paths:
            stack.get(warm, path).read()
    return medians([Pacer(stack, paths, given.seconds).run() for _ in range(ROUNDS)])


def fleet_page(stack, given):
    return paced(stack, given, [f"/v1/devices?{filters}" for filters in PAGES])


def summary(stack, given):
    return paced(stack, given, ["/v1/fleet/summary"])


def readings_csv(stack, given):
    rates = []
    for _ in range(ROUNDS):
        began, lines = time.monotonic(), 0
        with contextlib.closing(stack.connect()) as connection:
            answer = stack.get(connection, "/v1/devices/bench-1/readings?format=csv")
            while piece := answer.read1(1 << 18):
                lines += piece.count(b"\n")
        rates.append((lines - 1) / (time.monotonic() - began))
        if lines - 1 != given.readings:
            raise Failure(f"readings as CSV: expected {given.readings} rows, got {lines - 1}")
    return {"per_s": statistics.median(rates)}


CASES = {"device": device, "fleet_page": fleet_page, "summary": summary, "readings_csv": readings_csv}


def measure(stack, given, results):
    """Adds a result for each case; True: all could be measured."""
    for name, case in CASES.items():
        tell(f"measuring {name}")
        result = {"bench": "api", "case": name, **dict.fromkeys(COLUMNS)}
        try:
            with stack.peak(result):
                result.update(case(stack, given))
        except (Failure, OSError, http.client.HTTPException) as e:
            tell(f"{name} could not be measured: {e}")
            continue
        results.append({key: round(value, 3) if isinstance(value, float) else value for key, value in result.items()})
    return len(results) == len(CASES)


def shown(value):
    return "-" if value is None else f"{value:,.0f}" if value >= 1000 else f"{value:.2f}"


def verdict(result):
    name, limit, way = GOALS[result["case"]]
    met = result[name] >= limit if way == "at least" else result[name] <= limit
    met = met and result["rss_mib"] <= RSS_GOAL
    return f"{name} {way} {limit:,}, rss_mib at most {RSS_GOAL}: {'met' if met else 'missed'}"


def report(results, given, load):
    if not given.json:
        print(f"{given.devices:,} devices, medians of {ROUNDS} times {given.seconds} s, {os.cpu_count()} cores, load before {load:.1f}\n")
        print(f"{'case':13}" + "".join(f"{name:>15}" for name in COLUMNS) + "  goal")
        for result in results:
            print(f"{result['case']:13}" + "".join(f"{shown(result[name]):>15}" for name in COLUMNS) + f"  {verdict(result)}")
        print()
    for result in results:
        print(json.dumps(result))


def main():
    parser = argparse.ArgumentParser(prog="ops/bench api", allow_abbrev=False)
    parser.add_argument("--devices", type=number(100, 5_000_000), default=1_000_000)
    parser.add_argument("--readings", type=number(1, 5_000_000), default=1_000_000)
    parser.add_argument("--seconds", type=number(1, 15), default=5)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    end_in_time(LIMIT, "fewer --devices and --readings take less")
    load, results, whole = os.getloadavg()[0], [], False
    try:
        with Stack() as stack:
            stack.start(given)
            whole = measure(stack, given, results)
    except (Failure, Late) as e:
        tell(e)
    if results:
        report(results, given, load)
    sys.exit(0 if whole else 1)


main()
