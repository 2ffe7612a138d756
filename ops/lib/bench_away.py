# SPDX-License-Identifier: Apache-2.0
"""ops/bench away: PostgreSQL is gone for a while under load. What ingest and broker hold of memory meanwhile, whether everything is there
afterwards, how long the backlog takes beside what the same messages take at most on a calm day, and how soon trackers are seen as they are
now: those with a backlog, and some that have none."""

import argparse
import json
import os
import sys
import time

from bench import Failure, Late, end, end_in_time, number, tell
from bench_trackers import Trackers, ingested, memory, missing, rank, trackers_at_most

LIMIT = 2400     # seconds for all of it, but for removing it
PREFIX = "away-"
NEWCOMERS = 10   # trackers that have no backlog, and come when storing begins again
SENDERS = 1000   # trackers at most that find out what is stored at most
FRESH = 5        # seconds: a tracker whose newest reading is younger is seen as it is now
BACKLOG = 60     # samples a message of what has piled up, as coldfleet-tracker sends them
CALM = {1: 300_000, BACKLOG: 20_000}  # messages that are sent to find out, by their samples; all of them fit into the ring


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


def at_most(stack, senders, samples):
    """Messages with so many samples that are stored a second when trackers send as fast as they are acknowledged, and ask for a receipt
    with each, as those of the backlog do."""
    count, before = CALM[samples], ingested(stack)
    load = stack.spawn("load", "--serials", f"load-:{senders}", "--messages", count, "--samples-per-pack", samples, "--receipts")
    began, until, now = None, time.monotonic() + 120, before
    while now - before < count and time.monotonic() < until:
        time.sleep(0.05)
        now = ingested(stack)
        if began is None and now > before:
            began, first = time.monotonic(), now
    rate = (now - first) / (time.monotonic() - began)
    load.wait()
    stack.processes.remove(load)
    if load.returncode != 0 or now - before < count:
        raise Failure(f"{now - before:.0f} of {count} messages were stored: {(stack.dir / 'log' / 'bench-trackers.log').read_text()[-500:]}")
    tell(f"stored at most: {rate:.0f} messages a second of {samples} samples")
    return rate


def calm_seconds(calm, messages, readings):
    """How long so many messages with so many readings take at the calm maximum: each message costs something, and each reading."""
    each_reading = (1 / calm[BACKLOG] - 1 / calm[1]) / (BACKLOG - 1)
    return messages * (1 / calm[1] - each_reading) + readings * each_reading


def ages(stack, prefix=PREFIX):
    """Seconds since the newest reading of each tracker that has any, by its clock; sorted."""
    return sorted(map(float, stack.psql("-c", f"""SELECT extract(epoch FROM now() - reading_ts) FROM telemetry.device_state
        JOIN fleet.device USING (device_id) WHERE reading_ts IS NOT NULL AND serial LIKE '{prefix}%'""").split()))


def away(stack, given):
    senders = min(given.trackers, SENDERS)
    stack.enrol("load-", senders)
    calm = {samples: at_most(stack, senders, samples) for samples in CALM}
    stack.enrol(PREFIX, given.trackers)
    stack.enrol("new-", NEWCOMERS)
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
    back, again, half, all_of_them, newcomers_s = time.monotonic(), None, None, None, 0
    tell("it is back")
    while all_of_them is None:
        time.sleep(0.5)
        peak.look()
        stack.check_alive()
        if again is None and ingested(stack) > before:
            again, spent = time.monotonic(), stack.cpu()
            stack.spawn("run", "--serials", f"new-:{NEWCOMERS}", "--interval", 1, "--start-over", 0.1)
        elif again is not None:
            new = ages(stack, "new-")
            newcomers_s = max(newcomers_s, new[-1] if len(new) == NEWCOMERS else time.monotonic() - again)
        seen, since = ages(stack), time.monotonic() - back
        if half is None and rank(seen, 0.5) < FRESH:
            half = since
        if rank(seen, 0.99) < FRESH:
            all_of_them = since
    took = time.monotonic() - again
    tell("processor time meanwhile: " + ", ".join(f"{part} {seconds - spent[part]:.1f} s" for part, seconds in sorted(stack.cpu().items())))
    messages, readings = ingested(stack) - before, ingested(stack, "readings") - readings
    calm_s = calm_seconds(calm, messages, readings)
    tell(f"stores again after {again - back:.1f} s, and all are seen as they are now {took:.1f} s later; waiting until nothing is missing")
    while (lack := missing(stack, PREFIX)) != (0, 0) or ages(stack)[-1] > FRESH:
        stack.check_alive()
        if time.monotonic() - told > 20:
            told = time.monotonic()
            tell(f"{lack[0]} samples are missing")
        time.sleep(1)
        peak.look()
    whole = time.monotonic() - back
    return {"bench": "away", "source": given.source, "trackers": given.trackers, "messages_per_s": given.rate, "away_s": given.seconds,
            "calm": {"messages_per_s": round(calm[1]), "readings_per_s": round(calm[BACKLOG] * BACKLOG)},
            "drain": {"seconds": round(took, 1), "messages": round(messages), "readings": round(readings), "calm_seconds": round(calm_s, 1)},
            "ratio": round(calm_s / took, 2), "fresh_s": {"half": round(half, 1), "p99": round(all_of_them, 1)}, "newcomers_s": round(newcomers_s, 1), "whole_s": round(whole, 1),
            "rss_mib": peak.result()}


def main():
    parser = argparse.ArgumentParser(prog="ops/bench away", allow_abbrev=False)
    parser.add_argument("--trackers", type=number(10, 100_000), default=1000)
    parser.add_argument("--rate", type=number(1, 100_000), default=2000)
    parser.add_argument("--seconds", type=number(1, 1800), default=600)
    parser.add_argument("--source", choices=("ring", "lane"), default="ring")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    end_in_time(LIMIT, "fewer --seconds take less")
    given.trackers = trackers_at_most(given.trackers, NEWCOMERS)
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
        calm, drain = result["calm"], result["drain"]
        print(f"stored at most      {calm['messages_per_s']:,} messages a second of one sample; {calm['readings_per_s']:,} readings in messages of {BACKLOG}")
        print(f"backlog             {drain['messages']:,} messages with {drain['readings']:,} readings in {drain['seconds']} s, "
              f"{drain['readings'] / drain['seconds']:,.0f} a second; at those rates {drain['calm_seconds']} s: {result['ratio']} of the normal maximum")
        print(f"seen as they are    after {result['fresh_s']['half']} s (half), {result['fresh_s']['p99']} s (99 %)")
        print(f"newcomers           newest reading at most {result['newcomers_s']} s old meanwhile")
        print(f"nothing missing     after {result['whole_s']} s")
        for part, m in result["rss_mib"].items():
            print(f"memory of {part:10}{m['before']} MiB before, {m['peak']} MiB at most")
        print()
    print(json.dumps(result))


main()
