#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A fleet runs, telemetry and commands, while everything under it fails at random; then the trackers' own diaries are asked
whether each sample and each command is where it belongs. The seed decides what fails, in which order and for how long; the
moment within the processes' work is chance. ops/test fault starts it."""

import argparse
import contextlib
import json
import random
import signal
import sys
import threading
import time
import traceback
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scenario"))

import oracle  # noqa: E402
from commands import FINAL, Insistent, insist  # noqa: E402
from fleet import DAEMONS, DEVICES, Fleet, faketime  # noqa: E402
from proxy import MODES  # noqa: E402
from stack import wait_for  # noqa: E402

PARTS = (*DAEMONS, "broker", "postgres", "trackers")
LINKS = ("trackers", "ingest-broker", "bridge-broker", "ingest-database", "bridge-database", "signer-database", "api-database", "api")
SHARES = {"kill": 0.35, "flash": 0.15, "stop": 0.2, "cut": 0.2, "clock": 0.05, "disk": 0.05}
OPERATIONS = (("locate", {}), ("report-now", {}), ("locate", {}), ("disable", {"mode": "radio-off"}), ("enable", {}))
WIPED = 5  # trackers that lose their flash at once
LASTS = 3600  # seconds a command is good for: longer than a run


def schedule(rng, count, quick):
    """[(pause before, kind, of what, seconds, more)], of each kind at least one."""
    kinds = [kind for kind, share in SHARES.items() for _ in range(max(1, round(count * share)))][:count]
    kinds += ["kill"] * (count - len(kinds))
    rng.shuffle(kinds)
    return [(rng.uniform(0.1, 0.6 if quick else 2), kind, *draw(rng, kind, quick)) for kind in kinds]


def draw(rng, kind, quick):
    most = 3 if quick else 30
    if kind == "kill":
        return rng.choice(PARTS), rng.choice((0, 0, rng.uniform(0, 2 if quick else 6))), None
    if kind == "flash":
        # What stands still meanwhile holds packs of the epoch that is left.
        return rng.choice(("wiped", "header")), rng.uniform(0, 1.5), (rng.choice((None, "ingest", "broker")), tuple(rng.sample(range(DEVICES), WIPED)))
    if kind == "stop":
        # Mostly short: it is the edges that hurt.
        return rng.choice(PARTS), rng.uniform(0.2, most) * rng.choice((0.2, 0.2, 0.5, 1)), None
    if kind == "cut":
        # A database that went silent is given up after a minute: too long for the quick run.
        mode = rng.choice(MODES)
        links = LINKS if mode != "half-open" or not quick else LINKS[:3]
        return rng.choice(links), rng.uniform(0.5, 2.5 if quick else 12), mode
    if kind == "clock":
        return rng.choice(DAEMONS), rng.uniform(1.5, 3 if quick else 8), rng.choice((-7200, -900, -60, 60, 900, 7200))
    return "disk", rng.uniform(1, 2.5 if quick else 10), None


class Orders(threading.Thread):
    """Asks for commands until it is told to end."""

    def __init__(self, fleet, rng):
        super().__init__(daemon=True)
        self.fleet, self.rng, self.ordered, self.ended, self.failed = fleet, rng, [], threading.Event(), None
        self.commands = Insistent(fleet.stack)

    def order(self, serials, operation, arguments, cancel=False):
        expires_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + LASTS))
        request = self.commands.order_many(serials, operation, expires_at, **arguments)
        self.ordered += [row[0] for row in insist(self.fleet.stack, "SELECT command_id::text FROM command.command WHERE request_id = %s", [request])]
        if cancel:
            self.commands.cancel_request(request)

    def run(self):
        try:
            while not self.ended.wait(self.rng.uniform(0.5, 1.5)):
                operation, arguments = self.rng.choice(OPERATIONS)
                self.order(self.rng.sample(self.fleet.serials, 4), operation, arguments, self.rng.random() < 0.25)
        except BaseException:  # pylint: disable=broad-except
            self.failed = traceback.format_exc()


def strike(fleet, kind, of, seconds, more):
    """One fault, from its beginning to its end. Returns why not, if it cannot be had here."""
    if kind == "kill":
        fleet.kill(of)
        time.sleep(seconds)
        fleet.start(of)
    elif kind == "flash":
        beneath, numbers = more
        with fleet.frozen(beneath) if beneath else contextlib.nullcontext():
            time.sleep(seconds)
            fleet.kill("trackers")
            fleet.lose_flash([fleet.serials[n] for n in numbers], of)
            fleet.start("trackers")
    elif kind == "stop":
        with fleet.frozen(of):
            time.sleep(seconds)
    elif kind == "cut":
        fleet.proxy.enter(of, more)
        time.sleep(seconds)
        fleet.proxy.enter(of, "pass")
    elif kind == "clock":
        if not faketime():
            return "no libfaketime here"
        fleet.clock(of, more)
        time.sleep(seconds)
        fleet.clock(of, 0)
    else:
        if not fleet.disk.mounted:
            return "no file system can be mounted here"
        fleet.disk.fill()
        time.sleep(seconds)
        fleet.disk.free()
        fleet.revive()
    return None


def say(began, *words):
    print(f"{time.monotonic() - began:7.1f}", *words, flush=True)


def in_turn(parts, every, lasts):
    """What is killed every so many seconds, one part after the other."""
    return [(every, "kill", parts[i % len(parts)], 0, None) for i in range(int(lasts / every))]


def settle(fleet, orders, began, patience):
    """Everything works again; waits until every command has ended and every sample is stored. Returns what did not."""
    wrong = []
    fleet.revive()
    orders.ended.set()
    orders.join(patience)
    if orders.is_alive() or orders.failed:
        wrong.append(f"orders: {orders.failed or 'still waiting for an answer'}")
    orders.order(fleet.serials, "enable", {})  # a tracker that is told to be silent sends nothing
    say(began, f"all works again; {len(orders.ordered)} commands ordered")
    try:
        wait_for(lambda: insist(fleet.stack, "SELECT count(*) FROM command.command WHERE state <> ALL (%s)", [list(FINAL)])[0][0] == 0,
                 patience, "every command to end")
    except AssertionError as e:
        wrong.append(f"{e}: " + str(insist(fleet.stack, "SELECT command_id::text, serial, c.state, detail FROM command.command AS c "
                                           "JOIN fleet.device USING (device_id) WHERE c.state <> ALL (%s) LIMIT 10", [list(FINAL)])))
    say(began, "commands have ended")
    try:
        # The pause before a gap is asked for once more is at most its age and 10 s.
        wait_for(lambda: not fleet.asked_in_vain(), patience + time.monotonic() - began, "an answer for each gap in an epoch that was left")
    except AssertionError as e:
        wrong.append(f"{e}: {fleet.asked_in_vain()[:10]}")
    say(began, "all epochs that were left are accounted for")
    if not fleet.drain(patience):
        wrong.append("the trackers still had samples without a receipt")
    say(began, "trackers have ended")
    return wrong


def run(options, began):
    rng = random.Random(options.seed)
    source = "lane" if options.plan == "pair" else options.source
    plan = {"random": lambda: schedule(rng, options.kills, options.quick),
            "pair": lambda: in_turn(("ingest", "second"), options.every, options.lasts),
            "ring": lambda: in_turn(("ingest", "broker"), options.every, options.lasts)}[options.plan]()
    fleet = Fleet(options.seed, source, pair=options.plan == "pair")
    wrong, done = ["it did not come to an end"], Counter()
    try:
        orders = Orders(fleet, random.Random(options.seed + 1))
        orders.commands.patience()
        orders.start()
        say(began, f"a fleet of {len(fleet.serials)} runs, telemetry by {source}")
        for number, (pause, kind, of, seconds, more) in enumerate(plan, 1):
            time.sleep(pause)
            skipped = strike(fleet, kind, of, seconds, more)
            done[f"{kind} {of}" if not skipped else f"{kind} skipped: {skipped}"] += 1
            say(began, f"{number:4} {kind} {of}", f"{more or ''} {seconds:.1f} s", f"skipped: {skipped}" if skipped else "")
        wrong = settle(fleet, orders, began, 120 if options.quick else 240)
        figures, found = judge(fleet, orders, any(kind == "clock" for _, kind, *_ in plan))
        wrong += found
        figures["faults"] = dict(sorted(done.items()))
        figures["seconds"] = round(time.monotonic() - began)
        print(json.dumps({"seed": options.seed, "plan": options.plan, "source": source, **figures}), flush=True)
    finally:
        kept = fleet.close(keep=bool(wrong))
    for what in wrong:
        print("WRONG:", what)
    if wrong:
        print(f"logs, diaries and flash of the trackers: {kept}")
    return not wrong


def judge(fleet, orders, clock_jumped):
    figures, wrong = oracle.telemetry(fleet.stack, fleet.kept / "diary", fleet.gone)
    for name, (figure, found) in {"quarantine": oracle.quarantine(fleet.stack, clock_jumped),
                                  "commands": oracle.commands(fleet.stack, fleet.acts(), orders.ordered),
                                  "audit": oracle.audit(fleet.stack)}.items():
        figures[name] = figure
        wrong += found
    return figures, wrong


def main():
    parser = argparse.ArgumentParser(prog="ops/test fault", description=__doc__)
    parser.add_argument("--kills", type=int, default=20, help="how many faults (20)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32), help="what fails, in which order; else by chance")
    parser.add_argument("--quick", action="store_true", help="short faults only: no stop of more than 3 s")
    parser.add_argument("--source", choices=("ring", "lane"), default="ring", help="how telemetry gets from the broker to ingest")
    parser.add_argument("--plan", choices=("random", "pair", "ring"), default="random",
                        help="pair: two ingest processes, one killed every so often; ring: ingest and broker killed in turn")
    parser.add_argument("--every", type=float, default=10, help="seconds between two kills of pair and ring (10)")
    parser.add_argument("--for", dest="lasts", type=float, default=300, help="seconds that pair and ring go on (300)")
    options = parser.parse_args()
    again = (f"ops/test fault --kills {options.kills} --seed {options.seed} --source {options.source} --plan {options.plan} "
             f"--every {options.every:g} --for {options.lasts:g}") + " --quick" * options.quick
    print(f"seed {options.seed}; again: {again}", flush=True)
    good = False
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        good = run(options, time.monotonic())
    finally:
        print("nothing lost, nothing twice" if good else f"FAILED; again: {again}", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
