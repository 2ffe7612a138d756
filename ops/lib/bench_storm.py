# SPDX-License-Identifier: Apache-2.0
"""ops/bench storm: a whole fleet connects at once, over mutual TLS, after its broker was killed and away for a while.

How long it takes until trackers are heard again (p50, p99, the last one), how many connections the broker took for
that, what broker and ingest needed of memory, and when all that was measured meanwhile is stored."""

import argparse
import json
import os
import signal
import sys
import time

from bench import Failure, Late, end_in_time, number, tell
from bench_trackers import Trackers, memory, missing, quantiles, trackers_at_most

LIMIT = 1200  # seconds for all of it, but for removing it
PREFIX = "storm-"


def connections(stack):
    """How many of the fleet's the broker has accepted so far; one that fails in TLS is among them."""
    log = (stack.dir / "log" / "mosquitto.log").read_text(errors="replace")
    return log.count("New connection from 127.")


def storm(stack, given):
    stack.connect(PREFIX, given.trackers, given.interval)
    before = {part: memory(stack.parts()[part], "VmRSS") for part in ("broker", "ingest")}
    tell(f"killing the broker, for {given.outage} s")
    os.kill(stack.parts()["broker"], signal.SIGKILL)
    time.sleep(given.outage)
    taken, used = connections(stack), stack.cpu()
    stack.demo("start", "broker")
    back = time.time()
    tell("it is back")
    stack.await_heard(PREFIX, given.trackers, time.strftime("%Y-%m-%d %H:%M:%S+00", time.gmtime(back)))
    used = stack.cpu() - used
    at = [float(row) - back for row in stack.psql("-c", "SELECT extract(epoch FROM received_at) FROM telemetry.device_status "
                                                 f"JOIN fleet.device USING (device_id) WHERE serial LIKE '{PREFIX}%'").split()]
    tell(f"all are heard again after {max(at):.0f} s; processor seconds: " + ", ".join(f"{name} {s:.0f}" for name, s in used.most_common(5)))
    # Each measures once more, so that what was measured meanwhile has something after it.
    time.sleep(given.interval)
    while missing(stack, PREFIX) != (0, 0):
        stack.check_alive()
        time.sleep(1)
    whole = time.time() - back
    return {"bench": "storm", "trackers": given.trackers, "outage_s": given.outage,
            "heard_s": {key: round(value, 1) for key, value in {**quantiles(at), "last": max(at)}.items()},
            "connections_per_tracker": round((connections(stack) - taken) / given.trackers, 2), "whole_s": round(whole, 1),
            "rss_mib": {part: {"before": before[part], "peak": memory(stack.parts()[part], "VmHWM")} for part in before}}


def main():
    parser = argparse.ArgumentParser(prog="ops/bench storm", allow_abbrev=False)
    parser.add_argument("--trackers", type=number(10, 100_000), default=10_000)
    parser.add_argument("--outage", type=number(1, 600), default=30)
    parser.add_argument("--interval", type=number(1, 3600), default=60)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    end_in_time(LIMIT, "fewer --trackers take less")
    given.trackers = trackers_at_most(given.trackers)
    result = None
    try:
        with Trackers() as stack:
            stack.up()
            stack.enrol(PREFIX, given.trackers)
            result = storm(stack, given)
    except (Failure, Late, OSError) as e:
        tell(e)
    if result is None:
        sys.exit(1)
    if not given.json:
        heard, rss = result["heard_s"], result["rss_mib"]
        print(f"{given.trackers:,} trackers over mutual TLS, broker away for {given.outage} s, {os.cpu_count()} cores\n")
        print(f"heard again after   {heard['p50']} s (half), {heard['p99']} s (99 %), {heard['last']} s (all)")
        print(f"connections         {result['connections_per_tracker']} a tracker")
        print(f"nothing missing     after {result['whole_s']} s")
        for part, m in rss.items():
            print(f"memory of {part:10}{m['before']} MiB before, {m['peak']} MiB at most")
        print()
    print(json.dumps(result))


main()
