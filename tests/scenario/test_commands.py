# SPDX-License-Identifier: Apache-2.0
"""What becomes of a command between its approval and its device: online, offline, deaf, late, with the bridge killed and
with two of them. The device is in the hands of the test; coldfleet-tracker's own way with commands has its own tests."""

import itertools
import re
import subprocess
import time
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone

import pytest

from commands import CommandDevice, Commands
from device import Device
from ingest_helpers import Frozen, http_get
from stack import BIN, PATIENCE, wait_for


@pytest.fixture(scope="module")
def commands(stack):
    return Commands(stack)


@pytest.fixture
def impatient(commands):
    """What is not answered is sent again after a second, not after five."""
    commands.patience()
    yield
    commands.patience("5 s")


@pytest.fixture(scope="module")
def serials(stack):
    """Serials of enrolled trackers, each used by one test."""
    names = [f"command-{number:02}" for number in range(1, 41)]
    stack.enrol(*names)
    return iter(names)


@pytest.fixture
def serial(serials):
    return next(serials)


def soon(seconds):
    return (datetime.now(timezone.utc) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def device_state(stack, serial):
    return stack.value("SELECT state FROM fleet.device WHERE serial = %s", [serial])


class Bridge:
    """A coldfleet-bridge of a test's own, beside the stack's or, with its client id, in its place."""

    numbers = itertools.count(1)

    def __init__(self, stack, *settings):
        name = f"bridge-{next(self.numbers)}"
        self.monitor, self.log_file = stack.dir / f"{name}.sock", stack.dir / "log" / f"{name}.log"
        values = [f"bridge.monitor=unix:{self.monitor}", *settings]
        with open(self.log_file, "wb") as log:
            self.process = subprocess.Popen([BIN / "coldfleet-bridge", "--config", stack.dir / "coldfleet.ini",
                                             *[word for value in values for word in ("--set", value)]],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def metric(self, name):
        found = re.search(rf"^coldfleet_bridge_{re.escape(name)} (\S+)$", http_get("http://localhost/metrics", self.monitor)[1],
                          re.MULTILINE)
        return float(found.group(1)) if found else 0.0

    def __enter__(self):
        wait_for(lambda: http_get("http://localhost/readyz", self.monitor)[0] == 200, 20, "coldfleet-bridge to be ready")
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait(20)


@contextmanager
def bridge_stopped(stack):
    """The stack's bridge is down, and is back afterwards."""
    stack.stop("bridge")
    try:
        yield
    finally:
        stack.start("bridge")


def claim_and_die(stack, command):
    """What a bridge leaves that claims a command and is killed before it publishes."""
    with stack.connect() as database:
        database.execute("SET ROLE coldfleet_bridge")
        rows = database.execute("SELECT command_id::text, generation FROM command.claim(100, '{}')").fetchall()
    assert [row[0] for row in rows] == [command]
    return rows[0][1]


# Online


def test_approved_disable_reaches_an_online_device_and_its_replies_are_recorded(stack, commands, serial):
    with CommandDevice(stack, serial, answers=("accepted", "succeeded")) as device:
        command = commands.ask(serial, "disable", mode="halt")
        assert commands.state(command) == "awaiting_approval" and device.commands == []
        began = time.monotonic()
        commands.approve(command)
        seen = commands.wait(command, "succeeded")
        print(f"approved to succeeded in {(time.monotonic() - began) * 1000:.0f} ms")
        assert time.monotonic() - began < 10 * PATIENCE
    assert commands.path(command) == ["awaiting_approval", "approved", "signed", "sent", "accepted", "succeeded"]
    assert [reply["verdict"] for reply in seen["replies"]] == ["applied", "applied"]
    assert device_state(stack, serial) == "disabled"
    received, = device.commands
    assert (received.name, received.operation, received.audience, received.arguments) == (command, "disable", serial, {"mode": "halt"})


def test_command_travels_unretained_with_its_generation_and_the_time_that_is_left(stack, commands, serial):
    with CommandDevice(stack, serial) as device:
        command = commands.order(serial, "locate", expires_at=soon(300))
        received, = device.wait_commands(1)
        generation = commands.get(command)["generation"]
        assert received.generation == generation > 0
        assert 290 - 20 * PATIENCE <= received.expiry <= 300
        assert received.content_type == "application/coldfleet-command+cbor"
        assert received.retain == 0
        device.reply(received, "succeeded")
        seen = commands.wait(command, "succeeded")
        assert seen["replies"][0]["generation"] == generation
    with CommandDevice(stack, serial, hello=False) as again:
        again.subscribe(again.topic("receipt"))  # its SUBACK is behind whatever the broker had kept
        assert again.commands == []


def test_failed_and_rejected_are_what_the_device_says_with_its_reason(stack, commands, serial):
    with CommandDevice(stack, serial) as device:
        for status in ("failed", "rejected"):
            command = commands.order(serial, "locate")
            wait_for(lambda: device.commands and device.commands[-1].name == command, 15, "the command")
            device.reply(device.commands[-1], status, reason="no fix")
            assert commands.wait(command, status)["detail"] == "no fix"


def test_slow_command_does_not_hold_up_another(stack, commands, serial):
    with CommandDevice(stack, serial) as device:
        slow = commands.order(serial, "reboot")
        device.reply(device.wait_commands(1)[0], "accepted")
        commands.wait(slow, "accepted")
        quick = commands.order(serial, "locate")
        device.reply(device.wait_commands(2)[1], "succeeded")
        commands.wait(quick, "succeeded")
        assert commands.state(slow) == "accepted"


# Offline


def test_command_that_was_cancelled_while_its_device_was_away_never_reaches_it(stack, commands, serial):
    with CommandDevice(stack, serial):
        pass
    cancelled = commands.order(serial, "disable", mode="halt")
    commands.wait(cancelled, "waiting")
    commands.cancel(cancelled)
    with CommandDevice(stack, serial, answers=("succeeded",)) as device:
        after = commands.order(serial, "locate")
        commands.wait(after, "succeeded")
        assert [received.name for received in device.commands] == [after]
    assert commands.get(cancelled)["sent_at"] is None
    assert commands.path(cancelled)[-1] == "cancelled"


def test_disable_reaches_a_device_that_returns_before_what_waited_longer(stack, commands, serial):
    locate = commands.order(serial, "locate")
    commands.wait(locate, "waiting")
    reboot, disable = commands.order(serial, "reboot"), commands.order(serial, "disable", mode="halt")
    commands.wait(disable, "waiting")
    with CommandDevice(stack, serial, answers=("accepted", "succeeded")) as device:
        for command in (locate, reboot, disable):
            commands.wait(command, "succeeded")
    assert [received.name for received in device.commands] == [disable, locate, reboot]
    counters = [received.counter for received in device.commands]
    assert counters == sorted(set(counters))


def test_device_that_never_says_hello_is_found_by_its_telemetry(stack, commands, serial):
    command = commands.order(serial, "locate")
    commands.wait(command, "waiting")
    with CommandDevice(stack, serial, answers=("succeeded",), hello=False) as device:
        device.send([{"n": "temp", "u": "Cel", "v": 4.5}])
        commands.wait(command, "succeeded")


def test_command_to_a_device_that_was_never_there_expires_as_never_sent(stack, commands, serial):
    command = commands.order(serial, "locate", expires_at=soon(3))
    seen = commands.wait(command, "expired")
    assert (seen["sent_at"], seen["detail"]) == (None, "never sent")
    with CommandDevice(stack, serial, answers=("succeeded",)) as device:
        after = commands.order(serial, "report-now")
        commands.wait(after, "succeeded")
        assert device.operations == ["report-now"]


# Deaf and late


def test_late_reply_to_an_expired_command_is_recorded_and_changes_the_truth(stack, commands, serial):
    with CommandDevice(stack, serial) as device:
        command = commands.order(serial, "disable", mode="radio-off", expires_at=soon(4))
        received = device.wait_commands(1)[0]
        seen = commands.wait(command, "expired")
        assert seen["sent_at"] is not None and not seen["late"]
        assert device_state(stack, serial) != "disabled"
        device.reply(received, "succeeded")
        seen = commands.wait(command, "succeeded")
        assert seen["late"]
    assert device_state(stack, serial) == "disabled"


def test_sent_command_cannot_be_cancelled_and_the_answer_says_when_it_was_sent(stack, commands, serial):
    with CommandDevice(stack, serial) as device:
        command = commands.order(serial, "locate")
        device.wait_commands(1)
        commands.wait(command, "sent")
        assert "was sent at 2" in commands.cancel(command, status=409)["detail"]
        assert commands.state(command) == "sent"


def test_device_that_does_not_answer_gets_the_same_bytes_again_though_it_says_nothing(stack, commands, serial, impatient):
    with CommandDevice(stack, serial) as device:
        command = commands.order(serial, "locate")
        first, again = device.wait_commands(2)[:2]
        assert again.bytes == first.bytes and again.generation > first.generation
        device.reply(first, "succeeded")
        device.reply(again, "succeeded")
        seen = commands.wait(command, "succeeded")
        wait_for(lambda: len(commands.get(command)["replies"]) >= 2, 10, "both replies")
        assert [reply["verdict"] for reply in commands.get(command)["replies"]][:2] == ["applied", "repeated"]
        assert seen["sent_at"] is not None


def test_device_that_went_before_it_answered_gets_the_command_when_it_comes_back(stack, commands, serial, impatient):
    with CommandDevice(stack, serial) as device:
        command = commands.order(serial, "locate")
        device.wait_commands(1)
    wait_for(lambda: stack.value("SELECT retry_at = 'infinity' FROM command.command WHERE command_id = %s", [command]), 20,
             "the bridge to find that nobody listens")
    assert commands.state(command) == "sent"
    with CommandDevice(stack, serial, answers=("succeeded",)):
        commands.wait(command, "succeeded")


# Replies that are not what they should be


def test_reply_about_a_command_of_another_device_is_kept_and_changes_nothing(stack, commands, serials):
    victim, liar = next(serials), next(serials)
    with CommandDevice(stack, victim) as honest, CommandDevice(stack, liar) as other:
        command = commands.order(victim, "locate")
        received = honest.wait_commands(1)[0]
        other.reply(received, "succeeded", wait=True)
        wait_for(lambda: stack.sql("SELECT verdict FROM command.reply WHERE serial = %s", [liar]) == [("foreign",)], 15, "the reply")
        assert commands.state(command) == "sent"
        honest.reply(received, "failed")
        commands.wait(command, "failed")


def test_reply_with_a_counter_that_was_never_signed_changes_nothing(stack, commands, serial):
    with CommandDevice(stack, serial) as device:
        command = commands.order(serial, "locate")
        received = device.wait_commands(1)[0]
        device.reply(received, "succeeded", f2=received.counter + 1000, wait=True)
        wait_for(lambda: [r["verdict"] for r in commands.get(command)["replies"]] == ["unexpected"], 15, "the reply")
        assert commands.state(command) == "sent"


@pytest.mark.parametrize("payload", [b"", b"hello", b"\xa0", b"\xff" * 5000, bytes.fromhex("a10a01")])
def test_reply_that_cannot_be_read_is_kept_byte_for_byte_with_the_reason(stack, commands, serial, payload):
    with CommandDevice(stack, serial, answers=("succeeded",)) as device:
        device.raw_reply(payload, wait=True)
        command = commands.order(serial, "locate")
        commands.wait(command, "succeeded")
    (raw, reason), = stack.sql("SELECT raw, reason FROM command.reply WHERE serial = %s AND verdict = 'unreadable'", [serial])
    assert bytes(raw) == payload and len(reason) > 10


# Killed and doubled


def test_bridge_killed_between_claim_and_publish_loses_no_command_though_its_device_says_nothing(stack, commands, serial, impatient):
    with CommandDevice(stack, serial, answers=("succeeded",)) as device:
        with bridge_stopped(stack):
            command = commands.order(serial, "locate")
            commands.wait(command, "signed")
            generation = claim_and_die(stack, command)
            assert commands.state(command) == "sent"
            commands.cancel(command, status=409)  # it may have been on the wire
        assert device.wait_commands(1)[0].generation > generation
        commands.wait(command, "succeeded")


def test_replies_are_acknowledged_after_their_commit_and_none_is_lost_with_the_bridge(stack, commands, serial):
    with CommandDevice(stack, serial) as device, bridge_stopped(stack):
        with Bridge(stack, "bridge.log_level=debug") as bridge:
            command = commands.order(serial, "locate")
            received = device.wait_commands(1)[0]
            with Frozen(stack, "postgres"):
                device.reply(received, "succeeded", wait=True)
                wait_for(lambda: "COMMITTING messages=1" in bridge.log_file.read_text(), 20, "the reply to be in its transaction")
                for _ in range(3):  # turns of its loop, in which an acknowledgement could leave
                    assert bridge.metric("lanes_online") == 1
                bridge.process.kill()
        with Bridge(stack) as again:
            # What the killed one had sent to PostgreSQL may be committed; the broker delivers the reply again all the same.
            wait_for(lambda: again.metric("replies_total") == 1, 20, "the reply to come again")
            commands.wait(command, "succeeded")


def test_two_bridges_share_the_commands_and_send_none_twice(stack, commands, serials):
    names = [next(serials) for _ in range(4)]
    published = stack.metrics("bridge")["coldfleet_bridge_published_total"]
    devices = [CommandDevice(stack, name, answers=("succeeded",)) for name in names]
    try:
        with Bridge(stack, "bridge.client_id=second", "bridge.claim=1") as second:
            ordered = [commands.order(name, "locate") for _ in range(15) for name in names]
            for command in ordered:
                commands.wait(command, "succeeded", deadline=60)
            ours = stack.metrics("bridge")["coldfleet_bridge_published_total"] - published
            assert ours + second.metric("published_total") == len(ordered) and ours > 0 and second.metric("published_total") > 0
            second.process.terminate()
            assert second.process.wait(30 * PATIENCE) == 0
        came = [received.name for device in devices for received in device.commands]
        assert sorted(came) == sorted(ordered)
    finally:
        for device in devices:
            device.close()


def test_bridge_that_is_told_to_end_finishes_what_is_in_flight_and_exits_with_0(stack, commands, serial):
    with CommandDevice(stack, serial) as device:
        commands.order(serial, "locate")
        device.wait_commands(1)
        pid = stack.pid("bridge")
        stack.stop("bridge")
        assert "stopped" in stack.log("bridge").splitlines()[-1] and not stack.alive("bridge"), pid
        stack.start("bridge")


def test_broker_away_for_a_while_costs_no_command(stack, commands, serial):
    with CommandDevice(stack, serial):
        pass
    stack.stop("broker")
    command = commands.order(serial, "locate")
    commands.wait(command, "signed")
    stack.start("broker")
    with CommandDevice(stack, serial, answers=("succeeded",)) as device:
        wait_for(lambda: device.hello() or commands.state(command) == "succeeded", 30, "the reply")
        # Sent again, perhaps, when the reply came before whoever records it: the device knows it by its id.
        assert {received.bytes for received in device.commands} == {device.commands[0].bytes}


# Who may speak on these topics


def test_device_can_neither_hear_nor_send_the_commands_of_another(stack, commands, serials):
    victim, liar = next(serials), next(serials)
    with CommandDevice(stack, victim, answers=("succeeded",)) as honest, Device(stack, liar) as other:
        for wish in (f"cf/v1/{victim}/command", "cf/v1/+/command", "cf/v1/+/reply", "cf/v1/fleet/audit/checkpoint", "#"):
            other.subscribe(wish)
        other.publish(f"cf/v1/{victim}/command", b"forged")
        other.publish(f"cf/v1/{victim}/reply", b"forged")
        other.publish(f"cf/v1/{victim}/status", b"{}")
        command = commands.order(victim, "locate")
        commands.wait(command, "succeeded")
        assert [received.name for received in honest.commands] == [command]
        assert other.received == []
    assert stack.value("SELECT count(*) FROM command.reply WHERE serial = %s", [victim]) == 1
