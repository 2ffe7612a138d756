# SPDX-License-Identifier: Apache-2.0
"""ops/bench command: how fast commands reach a fleet and are answered, everything included: the request by filter over
REST, the signatures, the publishes over mutual TLS, the trackers that verify and reply, the replies that are recorded.

fleet: one request for every tracker, until the last one's result is committed. single: one approved command after the
other to single trackers, while other trackers send telemetry; from the call that approves it to the commit of the
device's own `accepted`."""

import argparse
import contextlib
import http.client
import json
import os
import random
import sys
import time
from urllib.parse import urlsplit

from bench import Failure, Late, end, end_in_time, number, tell
from bench_trackers import Trackers, ingested, quantiles, trackers_at_most

LIMIT = 1200   # seconds for all of it, but for removing it
SENDERS = 100  # trackers that send telemetry
GOALS = {"fleet": ("commands_per_s", 2000, "at least"), "single": ("accept_p99_ms", 250, "at most")}


class Stack(Trackers):
    def start(self, given):
        self.up()
        self.address = urlsplit(self.env["COLDFLEET_API"]).netloc
        self.enrol("bench-", given.trackers)
        self.enrol("load-", SENDERS)

    def rest(self, method, path, token, body=None):
        with contextlib.closing(http.client.HTTPConnection(self.address, timeout=120)) as connection:
            connection.request(method, path, None if body is None else json.dumps(body),
                               {"Authorization": f"Bearer {self.env['COLDFLEET_TOKEN_' + token.upper()]}", "Content-Type": "application/json"})
            answer = connection.getresponse()
            said = answer.read()
        if answer.status not in (200, 201):
            raise Failure(f"{method} {path}: expected 200 or 201, got {answer.status}: {said[:300]!r}")
        return json.loads(said)


def accepted_after(stack, command_ids, since):
    """Milliseconds from a moment of each command to its `accepted`, both by this machine's clock."""
    listed = "{" + ",".join(command_ids) + "}"
    rows = stack.psql("-F", " ", "-c", "SELECT command_id, extract(epoch FROM min(at)) FROM command.history WHERE to_state = 'accepted' "
                                       f"AND command_id = ANY ('{listed}') GROUP BY command_id").split("\n")
    return [(float(at) - since[command]) * 1000 for command, at in (row.split() for row in rows if row)]


def fleet(stack, given):
    """Rounds of one request for all; the last of them counts, when everybody has connected and is calm."""
    best = {}
    for number in range(given.rounds):
        began, used = time.time(), stack.cpu()
        request = stack.rest("POST", "/v1/commands", "operator", {"operation": "locate", "reason": "bench",
                                                                  "target": {"filter": {"model": "CF-1", "state": "active"}}})
        requested = time.time() - began
        if request["device_count"] < given.trackers:
            raise Failure(f"the filter found {request['device_count']} devices, expected {given.trackers}")
        ids = f"SELECT count(*) FROM command.command WHERE request_id = '{request['id']}'"
        while int(stack.psql("-c", f"{ids} AND place IS NOT NULL AND device_id IN (SELECT device_id FROM fleet.device "
                                   "WHERE serial LIKE 'bench-%')")) > 0:
            time.sleep(1)  # when the last one ended stands in the database; to ask takes processor time from what is measured
        # A tracker without a position says so; that is an answer, too.
        used = stack.cpu() - used
        done = int(stack.psql("-c", f"{ids} AND state IN ('succeeded', 'failed')"))
        last = float(stack.psql("-c", f"SELECT extract(epoch FROM max(ended_at)) FROM command.command "
                                      f"WHERE request_id = '{request['id']}' AND state IN ('succeeded', 'failed')"))
        if done < given.trackers:
            others = stack.psql("-c", "SELECT DISTINCT c.state, c.detail FROM command.command AS c JOIN fleet.device AS d USING (device_id) "
                                f"WHERE request_id = '{request['id']}' AND d.serial LIKE 'bench-%' AND c.state NOT IN ('succeeded', 'failed')")
            raise Failure(f"{done} of {given.trackers} commands were answered, the others: {others}")
        stack.rest("POST", f"/v1/requests/{request['id']}:cancel", "operator", {"reason": "bench"})
        at = [float(row) for row in stack.psql("-c", "SELECT extract(epoch FROM min(h.at)) FROM command.history AS h JOIN command.command "
                                               f"USING (command_id) WHERE request_id = '{request['id']}' AND to_state = 'accepted' "
                                               "GROUP BY command_id").split()]
        result = {"commands_per_s": done / (last - began), "accept_ms": quantiles([(moment - began) * 1000 for moment in at])}
        tell(f"round {number + 1}: {done} commands in {last - began:.1f} s, {result['commands_per_s']:.0f} a second; "
             f"the request itself took {requested:.2f} s; {used.total() / done * 1000:.2f} ms of processor time each: "
             + ", ".join(f"{name} {seconds / done * 1000:.3f}" for name, seconds in used.most_common() if seconds > 0))
        if result["commands_per_s"] > best.get("commands_per_s", 0):
            best = result
    return {**best, "telemetry_per_s": 0}


def await_rate(stack, wanted):
    """Until the senders have connected and what they send is stored at that rate, or does not get faster."""
    until, before = time.monotonic() + 60, ingested(stack)
    while time.monotonic() < until:
        time.sleep(2)
        now = ingested(stack)
        if (now - before) / 2 > 0.9 * wanted:
            return
        before = now
    tell(f"the telemetry stays below {wanted} messages a second: this machine has other things to do, too")


def single(stack, given):
    load = stack.spawn("load", "--serials", f"load-:{SENDERS}", "--rate", given.telemetry, "--duration", "600s")
    rng, since, ids = random.Random(1), {}, []
    try:
        await_rate(stack, given.telemetry)
        began, before = time.monotonic(), ingested(stack)
        for _ in range(given.commands):
            serial = f"bench-{rng.randrange(given.trackers) + 1:05}"
            command = stack.rest("POST", f"/v1/devices/{serial}/commands", "operator", {"operation": "enable", "reason": "bench"})
            request = stack.rest("GET", f"/v1/requests/{command['request_id']}", "viewer")
            since[command["id"]] = time.time()
            stack.rest("POST", f"/v1/requests/{request['id']}:approve", "approver", {"request_sha256": request["request_sha256"]})
            ids.append(command["id"])
            time.sleep(0.05)
        rate = (ingested(stack) - before) / (time.monotonic() - began)
        if load.poll() is not None:
            raise Failure("the telemetry ended early")
        time.sleep(2)
    finally:
        end(load)
    took = accepted_after(stack, ids, since)
    if len(took) < len(ids):
        raise Failure(f"{len(took)} of {len(ids)} commands were accepted")
    return {"commands_per_s": len(ids) / (time.monotonic() - began), "accept_ms": quantiles(took), "telemetry_per_s": rate}


CASES = {"fleet": fleet, "single": single}


def measure(stack, given, results):
    """Adds a result for each case; True: all could be measured."""
    for name, case in CASES.items():
        tell(f"measuring {name}")
        try:
            found = case(stack, given)
        except (Failure, OSError, http.client.HTTPException) as e:
            tell(f"{name} could not be measured: {e}")
            continue
        results.append({"bench": "command", "case": name, "commands_per_s": round(found["commands_per_s"], 1),
                        "accept_ms": {key: round(value, 1) for key, value in found["accept_ms"].items()}, "trackers": given.trackers,
                        "telemetry_per_s": round(found["telemetry_per_s"])})
    return len(results) == len(CASES)


def verdict(result):
    name, limit, way = GOALS[result["case"]]
    value = result["accept_ms"]["p99"] if name == "accept_p99_ms" else result[name]
    return f"{name} {way} {limit:,}: {'met' if (value >= limit if way == 'at least' else value <= limit) else 'missed'}"


def report(results, given, load):
    if not given.json:
        print(f"{given.trackers:,} trackers over mutual TLS, {os.cpu_count()} cores, load before {load:.1f}\n")
        print(f"{'case':8}{'commands_per_s':>16}{'p50 ms':>10}{'p99 ms':>10}{'telemetry_per_s':>17}  goal")
        for r in results:
            print(f"{r['case']:8}{r['commands_per_s']:>16,.0f}{r['accept_ms']['p50']:>10,.1f}{r['accept_ms']['p99']:>10,.1f}"
                  f"{r['telemetry_per_s']:>17,}  {verdict(r)}")
        print()
    for result in results:
        print(json.dumps(result))


def main():
    parser = argparse.ArgumentParser(prog="ops/bench command", allow_abbrev=False)
    parser.add_argument("--trackers", type=number(10, 100_000), default=20_000)
    parser.add_argument("--rounds", type=number(1, 20), default=3)
    parser.add_argument("--commands", type=number(5, 10_000), default=200)
    parser.add_argument("--telemetry", type=number(1, 100_000), default=10_000)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    end_in_time(LIMIT, "fewer --trackers take less")
    given.trackers = trackers_at_most(given.trackers, SENDERS)
    load, results, whole = os.getloadavg()[0], [], False
    try:
        with Stack() as stack:
            stack.start(given)
            stack.connect("bench-", given.trackers, 86400)
            whole = measure(stack, given, results)
    except (Failure, Late) as e:
        tell(e)
    if results:
        report(results, given, load)
    sys.exit(0 if whole else 1)


main()
