# SPDX-License-Identifier: Apache-2.0
"""ops/bench away: PostgreSQL is gone for a while under load. What ingest and broker hold of memory meanwhile, whether everything is there
afterwards, how fast the backlog drains beside what is stored at most on a calm day, and how soon trackers are seen as they are now."""

import argparse
import json
import os
import sys
import time

from bench import Failure, Late, end, end_in_time, number, tell
from bench_trackers import Trackers, ingested, memory, missing, rank, trackers_at_most

LIMIT = 2400     # seconds for all of it, but for removing it
PREFIX = "away-"
SENDERS = 100    # connections that find out what is stored at most
MEASURED = 15    # seconds for that
FRESH = 5        # seconds: a tracker whose newest reading is younger is seen as it is now


class Peak:
    """Memory of a part from one moment to another, in MiB."""

    def __init__(self, stack, *parts):
        self.pid = {part: stack.parts()[part] for part in parts}
        self.before = {part: memory(pid, "VmRSS") for part, pid in self.pid.items()}
        self.most = dict(self.before)

    def look(self):
        self.most = {part: max(self.most[part], memory(pid, "VmRSS")) for part, pid in self.pid.items()}

    def result(self):
        return {part: {"before": self.before[part], "peak": self.most[part]} for part in self.pid}


def at_most(stack):
    """Messages stored a second, one sample in each, when trackers send as fast as they are acknowledged."""
    stack.enrol("load-", SENDERS)
    load = stack.spawn("load", "--serials", f"load-:{SENDERS}", "--duration", f"{MEASURED + 10}s", "--receipts-every", 10)
    try:
        time.sleep(5)
        began, before = time.monotonic(), ingested(stack)
        time.sleep(MEASURED)
        rate = (ingested(stack) - before) / (time.monotonic() - began)
    finally:
        end(load)
        stack.processes.remove(load)
    quiet, last = time.monotonic() + 120, -1
    while (now := ingested(stack)) != last and time.monotonic() < quiet:
        last = now
        time.sleep(1)
    return rate


def ages(stack):
    """Seconds since the newest reading of each tracker, by its clock; sorted."""
    return sorted(map(float, stack.psql("-c", f"""SELECT extract(epoch FROM now() - reading_ts) FROM telemetry.device_state
        JOIN fleet.device USING (device_id) WHERE serial LIKE '{PREFIX}%'""").split()))


def away(stack, given):
    normal = at_most(stack)
    tell(f"stored at most: {normal:.0f} messages a second")
    stack.enrol(PREFIX, given.trackers)
    stack.connect(PREFIX, given.trackers, given.trackers / given.rate)
    peak = Peak(stack, "ingest", "broker")
    tell(f"PostgreSQL goes, for {given.seconds} s, under {given.rate} messages a second")
    stack.demo("stop", "postgres")
    until, told = time.monotonic() + given.seconds, 0
    while time.monotonic() < until:
        time.sleep(0.5)
        peak.look()
        stack.check_alive()
        if time.monotonic() - told > 60:
            told = time.monotonic()
            tell(f"{until - told:.0f} s to go; " + ", ".join(f"{part} {mib:.0f} MiB" for part, mib in peak.most.items()))
    before, readings = ingested(stack), ingested(stack, "readings")
    stack.demo("start", "postgres")
    back, again, half, all_of_them = time.monotonic(), None, None, None
    tell("it is back")
    while all_of_them is None:
        time.sleep(0.5)
        peak.look()
        stack.check_alive()
        if again is None and ingested(stack) > before:
            again = time.monotonic()
        seen, since = ages(stack), time.monotonic() - back
        if half is None and rank(seen, 0.5) < FRESH:
            half = since
        if rank(seen, 0.99) < FRESH:
            all_of_them = since
    took = time.monotonic() - again
    per_s, readings_per_s = (ingested(stack) - before) / took, (ingested(stack, "readings") - readings) / took
    tell(f"stores again after {again - back:.1f} s, and all are seen as they are now {took:.1f} s later; waiting until nothing is missing")
    while (lack := missing(stack, PREFIX)) != (0, 0):
        stack.check_alive()
        if time.monotonic() - told > 20:
            told = time.monotonic()
            tell(f"{lack[0]} samples are missing")
        time.sleep(1)
        peak.look()
    whole = time.monotonic() - back
    return {"bench": "away", "source": given.source, "trackers": given.trackers, "messages_per_s": given.rate, "away_s": given.seconds,
            "normal_per_s": round(normal), "drain_per_s": round(per_s), "ratio": round(per_s / normal, 2), "drain_readings_per_s": round(readings_per_s),
            "fresh_s": {"half": round(half, 1), "p99": round(all_of_them, 1)}, "whole_s": round(whole, 1), "rss_mib": peak.result()}


def main():
    parser = argparse.ArgumentParser(prog="ops/bench away", allow_abbrev=False)
    parser.add_argument("--trackers", type=number(10, 100_000), default=1000)
    parser.add_argument("--rate", type=number(1, 100_000), default=2000)
    parser.add_argument("--seconds", type=number(1, 1800), default=600)
    parser.add_argument("--source", choices=("ring", "lane"), default="ring")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    end_in_time(LIMIT, "fewer --seconds take less")
    given.trackers = trackers_at_most(given.trackers, SENDERS)
    result = None
    try:
        with Trackers() as stack:
            stack.up("--source", given.source)
            result = away(stack, given)
    except (Failure, Late, OSError) as e:
        tell(e)
    if result is None:
        sys.exit(1)
    if not given.json:
        print(f"{given.trackers:,} trackers, {given.rate:,} messages a second by {given.source}, PostgreSQL away for {given.seconds} s, {os.cpu_count()} cores\n")
        print(f"stored at most      {result['normal_per_s']:,} messages a second")
        print(f"backlog             {result['drain_per_s']:,} messages a second: {result['ratio']} of that; {result['drain_readings_per_s']:,} readings")
        print(f"seen as they are    after {result['fresh_s']['half']} s (half), {result['fresh_s']['p99']} s (99 %)")
        print(f"nothing missing     after {result['whole_s']} s")
        for part, m in result["rss_mib"].items():
            print(f"memory of {part:10}{m['before']} MiB before, {m['peak']} MiB at most")
        print()
    print(json.dumps(result))


main()
