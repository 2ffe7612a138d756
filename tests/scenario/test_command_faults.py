# SPDX-License-Identifier: Apache-2.0
"""Commands while everything is killed: kill -9 of the API, the signer, the bridge, the broker, PostgreSQL and the
trackers at random moments, and in the end each command has one truthful last state, no tracker acted twice on one, and
none on one that was cancelled before it was sent. What trackers did is read from their own logs.

COLDFLEET_COMMANDS and COLDFLEET_KILLS say how many (default 300 and 10); COLDFLEET_SEED repeats a run."""

import json
import os
import random
import threading
import time
from collections import Counter

import pytest

from commands import FINAL, Insistent, broken_histories, insist
from stack import PATIENCE, wait_for

COMMANDS = int(os.environ.get("COLDFLEET_COMMANDS", "300"))
KILLS = int(os.environ.get("COLDFLEET_KILLS", "10"))
SEED = int(os.environ.get("COLDFLEET_SEED", str(random.SystemRandom().randrange(1 << 32))))
TRACKERS, AWAY, AT_ONCE = 30, 5, 10
# Long enough for the device to be asked again: a killed broker forgets replies that it had acknowledged.
LASTS = 600 * PATIENCE
PARTS = ("api", "signer", "bridge", "broker", "postgres", "trackers")
OPERATIONS = (("locate", {}), ("report-now", {}), ("locate", {}), ("disable", {"mode": "radio-off"}), ("enable", {}))


class Fleet:
    """Trackers in one process that is killed and started again with the same flash."""

    def __init__(self, stack, folder, serials):
        self.stack, self.folder, self.process = stack, folder, None
        self.list = folder / "serials"
        self.flash = folder / "flash"
        self.flash.mkdir()
        self.serve(serials)

    def serve(self, serials):
        self.list.write_text("".join(f"{serial}\n" for serial in serials))
        self.restart()

    def restart(self):
        self.kill()
        with open(self.folder / "trackers.log", "ab") as log:
            self.process = self.stack.tracker_start("run", "--serials", self.list, "--flash", self.flash, "--interval", "2",
                                                    "--start-over", "1", "--verbose", stdout=log, stderr=log)

    def check_alive(self):
        assert self.process.poll() is None, f"the trackers ended by themselves with status {self.process.returncode}"

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait(20)

    def acts(self):
        """(serial, command) of everything that any tracker did."""
        done = []
        for log in sorted(self.flash.rglob("*.acts")):
            done += [(log.stem, json.loads(line)["command_id"]) for line in log.read_text().splitlines()]
        return done


def kill_at_random(stack, fleet, rng):
    """Kills one part after the other and starts it again; returns how often which."""
    killed = Counter()
    for _ in range(KILLS):
        time.sleep(rng.uniform(0.2, 1.5))  # waits for nothing: the moment is what is random
        part = rng.choice(PARTS)
        killed[part] += 1
        if part == "trackers":
            fleet.check_alive()
            fleet.restart()
            continue
        stack.kill(part)
        # Backends of a killed PostgreSQL live on for a moment, and it does not start beside them.
        wait_for(lambda: stack.demo("start", part, check=False).returncode == 0, 60, f"{part} to start again")
    return killed


def order_all(commands, present, away, rng, ordered):
    """Requests until there are enough commands; some are cancelled."""
    while len(ordered) < COMMANDS:
        operation, arguments = rng.choice(OPERATIONS)
        # Mostly for those that are there; those that are away get theirs later, or never.
        serials = rng.sample(present, AT_ONCE - 1) + rng.sample(away, 1)
        expires_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + LASTS))
        request = commands.order_many(serials, operation, expires_at, **arguments)
        ordered += [row[0] for row in commands.of_request(request)]
        if rng.random() < 0.3:
            commands.cancel_request(request)


def print_open_ones(stack):
    """What is known of the commands that have not ended, for whoever has to find out why."""
    print("now", stack.value("SELECT now()::text"))
    for row in stack.sql("""
            SELECT serial, operation, c.state, place, sends, generation, counter, c.detail, retry_at::text, since::text, sent_at::text,
                s.received_at::text, t.received_at::text, command.remembered(c.device_id, c.sent_at),
                (SELECT string_agg(to_state || ' ' || at, ', ' ORDER BY history_id) FROM command.history AS h WHERE h.command_id = c.command_id)
            FROM command.command AS c JOIN fleet.device USING (device_id) LEFT JOIN telemetry.device_state AS s USING (device_id)
            LEFT JOIN telemetry.device_status AS t USING (device_id) WHERE c.state <> ALL (%s) ORDER BY serial, requested_at""", [list(FINAL)]):
        print(*row, sep=" | ")


@pytest.fixture
def fleet(own_stack, tmp_path_factory):
    present = [f"fault-{n:02}" for n in range(TRACKERS - AWAY)]
    away = [f"away-{n:02}" for n in range(AWAY)]
    own_stack.enrol(*present, *away)
    fleet = Fleet(own_stack, tmp_path_factory.mktemp("fleet"), present)
    fleet.present, fleet.away = present, away
    yield fleet
    fleet.kill()


def test_every_command_ends_in_one_truthful_state_whatever_is_killed_and_no_tracker_acts_twice(own_stack, fleet):
    print(f"COLDFLEET_SEED={SEED}")
    stack, rng, ordered, failed = own_stack, random.Random(SEED), [], []
    commands = Insistent(stack)
    commands.of_request = lambda request: insist(stack, "SELECT command_id::text FROM command.command WHERE request_id = %s", [request])
    commands.patience()

    def order():
        try:
            order_all(commands, fleet.present, fleet.away, random.Random(SEED + 1), ordered)
        except BaseException as e:  # pylint: disable=broad-except
            failed.append(e)

    orders = threading.Thread(target=order)
    orders.start()
    killed = kill_at_random(stack, fleet, rng)
    orders.join(300 * PATIENCE)
    assert not orders.is_alive() and not failed, failed
    fleet.serve(fleet.present + fleet.away)

    def open_ones():
        fleet.check_alive()
        return insist(stack, "SELECT count(*) FROM command.command WHERE state <> ALL (%s)", [list(FINAL)])[0][0]

    try:
        wait_for(lambda: open_ones() == 0, 120 + COMMANDS / 10, "every command to end")
    except AssertionError:
        print_open_ones(stack)
        raise
    rows = stack.sql("SELECT command_id::text, serial, c.state, sent_at FROM command.command AS c JOIN fleet.device USING (device_id)")
    states = Counter(row[2] for row in rows)
    print(f"killed {dict(killed)}, ended {dict(states)}")
    for why in stack.sql("SELECT state, operation, detail, count(*) FROM command.command GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"):
        print(*why, sep=" | ")
    assert len(rows) == len(ordered) >= COMMANDS and {row[0] for row in rows} == set(ordered)

    acts = Counter(fleet.acts())
    assert {act: n for act, n in acts.items() if n > 1} == {}, "a tracker acted twice"
    for command, serial, state, sent_at in rows:
        times = acts.pop((serial, command), 0)
        if state in ("succeeded", "failed"):
            assert times == 1 or state == "failed", (command, serial, state, sent_at, times)
        else:
            # Every device lives in the end, so what it did it has told, whatever became of its first words about it.
            assert state in ("rejected", "cancelled"), (command, serial, state, sent_at, times)
            assert times == 0, (command, serial, state, sent_at, times)
        assert state != "cancelled" or sent_at is None
    assert acts == {}, "a tracker acted on what was never ordered of it"
    assert broken_histories(stack) == []
    assert states["succeeded"] > COMMANDS / 4 and states["cancelled"] > 0

