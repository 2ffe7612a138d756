# SPDX-License-Identifier: Apache-2.0
"""The reference tracker in a running coldfleet: what it is told, from the request to what it then does and does not do."""

import json
import re
import subprocess

import pytest

from commands import Commands
from stack import BIN, wait_for

INTERVAL = 0.2


class Tracker:
    """coldfleet-tracker with a flash of its own, one serial."""

    def __init__(self, stack, folder, serial):
        self.stack, self.folder, self.serial, self.process = stack, folder, serial, None
        (folder / "serials").write_text(serial + "\n")

    def on(self, *options, trust=None):
        words = ["run", "--serials", self.folder / "serials", "--flash", self.folder / "flash", "--interval", INTERVAL, *options]
        if trust:
            words += ["--trust", trust]
        self.process = self.stack.tracker_start(*words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return self

    def off(self):
        if self.process:
            self.process.kill()
            self.process.wait(20)
        self.process = None

    def acts(self):
        log = self.folder / "flash" / f"{self.serial}.acts"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def samples(self):
        return self.stack.value("SELECT count(*) FROM telemetry.reading JOIN fleet.device USING (device_id) WHERE serial = %s", [self.serial])

    def last_sample(self):
        return self.stack.value("SELECT max(ts) FROM telemetry.reading JOIN fleet.device USING (device_id) WHERE serial = %s", [self.serial])

    def shown(self):
        return self.stack.rest(f"/v1/devices/{self.serial}").json

    def speaks(self):
        """Waits for a further sample."""
        before = self.last_sample()
        wait_for(lambda: self.last_sample() != before, 30, f"a sample of {self.serial}")


@pytest.fixture(scope="module")
def commands(stack):
    commands = Commands(stack)
    commands.patience()
    return commands


@pytest.fixture
def tracker(stack, tmp_path, request):
    serial = f"spare-{1 + tracker.used:02}"
    tracker.used += 1
    tracker_ = Tracker(stack, tmp_path, serial)
    yield tracker_
    tracker_.off()


tracker.used = 0


def do(commands, serial, operation, **arguments):
    shown = commands.wait(commands.order(serial, operation, **arguments), "succeeded", "failed", "rejected", deadline=30)
    assert shown["state"] == "succeeded", shown
    return shown


def some_time(commands, serial):
    """Several of the tracker's intervals, told by commands that it answers meanwhile."""
    for _ in range(5):
        do(commands, serial, "locate")


def test_halted_tracker_measures_and_sends_nothing_over_a_restart_until_it_is_enabled(commands, tracker):
    tracker.on().speaks()
    do(commands, tracker.serial, "disable", mode="halt")
    wait_for(lambda: tracker.shown()["mcu_state"] == "disabled" and tracker.shown()["state"] == "disabled", 20, "its state")
    some_time(commands, tracker.serial)
    last = tracker.last_sample()
    some_time(commands, tracker.serial)
    tracker.off()
    tracker.on("--backfill", "1m")
    some_time(commands, tracker.serial)
    assert tracker.last_sample() == last and tracker.shown()["mcu_state"] == "disabled"
    enabled = do(commands, tracker.serial, "enable")
    tracker.speaks()
    wait_for(lambda: tracker.shown()["mcu_state"] == "running" and tracker.shown()["state"] == "active", 20, "its state")
    between = tracker.stack.value("""SELECT count(*) FROM telemetry.reading JOIN fleet.device USING (device_id)
        WHERE serial = %s AND ts > %s AND ts < %s::timestamptz - interval '1 s'""", [tracker.serial, last, enabled["history"][0]["at"]])
    assert between == 0
    assert [act["operation"] for act in tracker.acts() if act["operation"] != "locate"] == ["disable", "enable"]


def test_silenced_tracker_sends_later_what_it_measured_meanwhile(commands, tracker):
    tracker.on().speaks()
    do(commands, tracker.serial, "disable", mode="radio-off")
    some_time(commands, tracker.serial)
    silent = tracker.samples()
    some_time(commands, tracker.serial)
    assert tracker.samples() == silent
    do(commands, tracker.serial, "enable")
    tracker.speaks()
    gaps = "SELECT count(*) FROM telemetry.gap JOIN fleet.device USING (device_id) WHERE serial = %s AND closed_at IS NULL"
    wait_for(lambda: tracker.stack.value(gaps, [tracker.serial]) == 0 and tracker.samples() > silent + 5, 30, "what it measured meanwhile")
    longest = tracker.stack.value("""SELECT extract(epoch FROM max(step)) FROM (SELECT ts - lag(ts) OVER (ORDER BY ts) AS step
        FROM telemetry.reading JOIN fleet.device USING (device_id) WHERE serial = %s) AS s""", [tracker.serial])
    assert longest < 3 * INTERVAL


def test_away_tracker_never_sees_what_was_cancelled_and_is_disabled_first_of_all(commands, tracker):
    tracker.on().speaks()
    tracker.off()
    cancelled = commands.order(tracker.serial, "reboot")
    waiting = [commands.order(tracker.serial, "locate"), commands.order(tracker.serial, "report-now")]
    commands.cancel(cancelled)
    waiting.append(commands.order(tracker.serial, "disable", mode="radio-off"))
    tracker.on()
    for command in waiting:
        commands.wait(command, "succeeded", "failed", deadline=40)
    assert tracker.acts()[0]["operation"] == "disable"
    assert cancelled not in [act["command_id"] for act in tracker.acts()] and commands.state(cancelled) == "cancelled"


def test_configuration_in_force_is_what_was_desired(commands, tracker):
    tracker.on().speaks()
    wanted = {"interval": 60, "limits": {"low": 2.0, "high": 8.0}, "name": "Kühlbox"}
    path = f"/v1/devices/{tracker.serial}/config"
    put = tracker.stack.rest(path, "ADMIN", "PUT", {"config": wanted, "reason": "a test"}, {"If-Match": '"0"'})
    assert put.status == 200, put
    shown = wait_for(lambda: (lambda c: c if c["reported"] and c["reported"]["version"] == 1 else None)(tracker.stack.rest(path).json),
                     30, "the version in its status")
    assert shown["difference"] == {} and shown["desired"]["config"] == wanted, shown
    body = {"operation": "clear-config", "arguments": {}, "reason": "a test"}
    commands.call(f"/v1/devices/{tracker.serial}/commands", "admin", body, 201)
    wait_for(lambda: tracker.shown()["reported"]["config_version"] == 0, 20, "the version in its status")


def keys(*words):
    run = subprocess.run([BIN / "coldfleet-keys", *map(str, words)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_keys_are_rotated_and_the_old_one_commands_no_more(own_stack, tmp_path):
    stack, commands = own_stack, Commands(own_stack)
    commands.patience()
    ini = stack.dir / "coldfleet.ini"
    old = re.search(r"^key = (.+command\.key)$", ini.read_text(), re.MULTILINE).group(1)
    new, public, trust = tmp_path / "new.key", tmp_path / "new.pub", tmp_path / "trust-1"
    keys("make", new)
    public.write_text("".join(line + "\n" for line in keys("show", new).splitlines()))
    keys("trust", 1, trust, public)
    tracker = Tracker(stack, tmp_path, "spare-01").on()
    try:
        tracker.speaks()
        shown = do(commands, "spare-01", "rotate-key", list=keys("rotate", trust, old, new).strip())
        assert shown["replies"][-1]["result"] == {"version": 1}
        # The signer still has the old key: the tracker believes nothing of it, and says so without naming the command.
        refused = commands.order("spare-01", "locate")
        foreign = "SELECT count(*) FROM command.reply WHERE serial = 'spare-01' AND command_id = '00000000-0000-0000-0000-000000000000'"
        wait_for(lambda: stack.value(foreign) > 0, 20, "the refusal")
        assert commands.state(refused) in ("sent", "waiting", "signed", "approved") and tracker.acts()[-1]["operation"] == "rotate-key"
        ini.write_text(ini.read_text().replace(old, str(new)))
        new.chmod(0o600)
        stack.restart("signer")
        do(commands, "spare-01", "locate")
    finally:
        tracker.off()
