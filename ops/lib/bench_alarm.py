# SPDX-License-Identifier: Apache-2.0
"""ops/bench alarm: how long from a reading that uses up what is allowed until a webhook has been told, and what the cold chain costs
ingest. All of it is real: trackers over mutual TLS, the broker, the ring, coldfleet-ingest, coldfleet-notify, and a receiver on
loopback. Every device watches a lot; one tracker of a hundred is too warm."""

import argparse
import contextlib
import http.server
import json
import os
import statistics
import sys
import threading
import time
from datetime import datetime

from bench import ROOT, Failure, Late, end_in_time, number, run, tell
from bench_ingest import Stack, go, measure, summary

LIMIT = 1800  # seconds for all of it, but for removing it
WARM = ("--warm-every", 100)


class Receiver(contextlib.AbstractContextManager):
    """An HTTP server on loopback that notes when it was told of what."""

    def __init__(self):
        self.told = []
        told = self.told

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                at = time.time()
                told.append((at, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 1000

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __exit__(self, *failure):
        self.server.shutdown()
        self.server.server_close()

    def delays(self, prefix):
        """Milliseconds from the measurement that was too warm, by the tracker's clock, which is ours, of each alarm."""
        return sorted((at - datetime.fromisoformat(event["data"]["raised_at"]).timestamp()) * 1000 for at, event in list(self.told)
                      if event["type"] == "coldfleet.alarm.raised" and event["subject"].startswith(prefix))


class Watched(Stack):
    """The stack of ops/bench ingest, whose devices all watch something; a webhook is told of alarms."""

    def start(self, given):
        super().start(given)
        tell(f"making certificates for {given.alarms} trackers that will alarm")
        minted = run(self.bin / "coldfleet-tracker", "mint", "--dir", self.certs, "--prefix", "breach-", "--count", given.alarms)
        (self.dir / "minted.tsv").write_text(minted)
        with open(self.dir / "minted.tsv", "rb") as listed:
            self.psql("-f", ROOT / "ops/lib/enrol.sql", stdin=listed)
        tell("shipments, lots, assignments")
        self.psql("-f", ROOT / "ops/lib/bench_alarm.sql")
        settings = self.dir / "coldfleet.ini"
        settings.write_text(settings.read_text().replace("[notify]\n", "[notify]\nallow = 127.0.0.1\nallow_http = yes\n"))

    @contextlib.contextmanager
    def notifying(self):
        self.demo("start", "notify")
        try:
            yield
        finally:
            self.demo("stop", "notify")

    def settle(self):
        """Nothing left to do from before: no device to be evaluated, no excursion that goes on."""
        until = time.monotonic() + 60
        self.psql("-c", "SELECT coldchain.evaluate(200) FROM generate_series(1, 20)")
        while self.psql("-c", "SELECT count(*) FROM coldchain.due").strip() != "0":
            if time.monotonic() > until:
                raise Failure("devices are still to be evaluated after a minute")
            self.psql("-c", "SELECT coldchain.evaluate(1000)")


def wait(receiver, prefix, count):
    until = time.monotonic() + 60
    while len(delays := receiver.delays(prefix)) < count:
        if time.monotonic() > until:
            raise Failure(f"the webhook was told of {len(delays)} of {count} alarms within a minute")
        time.sleep(0.05)
    return delays


def measure_latency(stack, given):
    """Alarms of trackers that have never been too warm, one message each, while others send."""
    stack.restart_broker(ring=True)
    with Receiver() as receiver, stack.ingesting("ring", 1), stack.notifying():
        stack.psql("-c", f"SELECT coldchain.webhook_make('bench', '{receiver.url}', NULL, NULL)")
        breaching = ("--serials", f"breach-:{given.alarms}", "--messages", given.alarms, "--rate", f"{given.alarms / given.seconds:.3f}", "--warm-every", 1)
        with stack.generator("json", 1, "--rate", given.rate, "--duration", f"{given.seconds + 6}s", *WARM) as load, \
                stack.generator("json", 1, *breaching) as breaches:
            go(load)
            wait(receiver, "load-", -(-given.trackers // WARM[1]))  # those that are too warm all the time
            go(breaches)
            summary(breaches)
            delays = wait(receiver, "breach-", given.alarms)
            sent = summary(load)
    return {"bench": "alarm", "case": "latency", "messages_per_s": round(sent["messages_per_second"]), "alarms": len(delays),
            "breach_to_webhook_ms": {"p50": round(delays[len(delays) // 2], 1), "p99": round(delays[len(delays) * 99 // 100], 1)}}


def measure_cost(stack, given):
    """Stored messages a second without coldfleet-notify; with it, nobody too warm; with it, one of a hundred too warm. In turns."""
    ways = {"alone": (contextlib.nullcontext, ()), "calm": (stack.notifying, ()), "excursion": (stack.notifying, WARM)}
    found = {way: [] for way in ways}
    for n in range(given.rounds):
        for way in sorted(ways, key=lambda w: (list(ways).index(w) + n) % len(ways)):
            beside, words = ways[way]
            stack.settle()
            with beside():
                found[way].append(measure(stack, "ring", 1, "json", 1, given.messages, *words))
            one = found[way][-1]
            tell(f"round {n + 1}, {way}: {one['per_s']:,.0f} messages/s; processor µs a message: "
                 + ", ".join(f"{part} {used:.1f}" for part, used in one["cpu_us"].items()))
    per_s = {way: statistics.median(r["per_s"] for r in runs) for way, runs in found.items()}
    return {"bench": "alarm", "case": "cost", "messages_per_s": round(per_s["excursion"]), "calm_per_s": round(per_s["calm"]),
            "alone_per_s": round(per_s["alone"]), "to_calm": round(per_s["excursion"] / per_s["calm"], 3),
            "to_alone": round(per_s["excursion"] / per_s["alone"], 3)}


def report(results, given, load):
    if not given.json:
        print(f"{given.devices:,} devices, {given.trackers:,} connections over mutual TLS, one of a hundred too warm, {os.cpu_count()} cores, "
              f"load before {load:.1f}\n")
        for r in results:
            if r["case"] == "latency":
                took = r["breach_to_webhook_ms"]
                print(f"breach to webhook: p50 {took['p50']:,.0f} ms, p99 {took['p99']:,.0f} ms of {r['alarms']:,} alarms at {r['messages_per_s']:,} "
                      f"messages/s; p99 at most 1000 ms: {'met' if took['p99'] <= 1000 else 'missed'}")
            else:
                print(f"stored messages/s: {r['alone_per_s']:,} without coldfleet-notify, {r['calm_per_s']:,} with it and nobody too warm, "
                      f"{r['messages_per_s']:,} with one of a hundred too warm: {r['to_alone']:.2f} and {r['to_calm']:.2f} of it; at least 0.90: "
                      f"{'met' if r['to_alone'] >= 0.9 else 'missed'} and {'met' if r['to_calm'] >= 0.9 else 'missed'}")
        print()
    for r in results:
        print(json.dumps(r))


def main():
    parser = argparse.ArgumentParser(prog="ops/bench alarm", allow_abbrev=False)
    parser.add_argument("--devices", type=number(100, 1_000_000), default=100_000)
    parser.add_argument("--trackers", type=number(100, 10_000), default=1000)
    parser.add_argument("--alarms", type=number(10, 10_000), default=500)
    parser.add_argument("--rate", type=number(100, 100_000), default=10_000)
    parser.add_argument("--seconds", type=number(2, 300), default=30)
    parser.add_argument("--messages", type=number(1000, 2_000_000), default=400_000)
    parser.add_argument("--rounds", type=number(0, 20), default=3)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    end_in_time(LIMIT, "fewer --rounds or --messages take less")
    load, results, whole = os.getloadavg()[0], [], False
    try:
        with Watched() as stack:
            stack.start(given)
            tell("measuring from breach to webhook")
            results.append(measure_latency(stack, given))
            if given.rounds > 0:
                results.append(measure_cost(stack, given))
            whole = True
    except (Failure, Late) as e:
        tell(e)
    if results:
        report(results, given, load)
    sys.exit(0 if whole else 1)


if __name__ == "__main__":
    main()
