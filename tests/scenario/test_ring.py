# SPDX-License-Identifier: Apache-2.0
"""The ring between the broker's plugin and ingest: what the broker has acknowledged is stored, whichever side is killed,
stands still or is full; and a ring that is not right is refused in words before anything is lost in it."""

import json
import random
import re
import signal
import subprocess
import sys
import threading
import time

import paho.mqtt.client as paho
import pytest

from ingest_helpers import STREAM, TEST_PASSWORD, TEST_USER, Frozen, Ingest, Line, Stream, UnixClient, senml
from stack import BIN, PATIENCE, Stack, wait_for
from test_faults import sessions_that_store, shut_down_at_once, state_locked, waiting_for_a_lock

NOW = round(time.time())
HEAD = 64  # where a ring's file has it


def running(folder, monkeypatch=None, size=None):
    if size:
        monkeypatch.setenv("COLDFLEET_RING_SIZE", size)
    stack = Stack(folder, "--trackers", "0", "--source", "ring")
    try:
        yield stack
    finally:
        stack.down()


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    yield from running(tmp_path_factory.mktemp("ring"))


@pytest.fixture(scope="module")
def line(stack):
    with Line(stack) as line:
        yield line


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A ring that a few hundred messages fill."""
    for stack in running(tmp_path, monkeypatch, "64KiB"):
        with Line(stack) as line:
            yield line


def ring_file(stack):
    return next(words.split("=", 1)[1] for words in (stack.dir / "settings").read_text().splitlines()
                if words.startswith("RING="))


def shown(stack):
    """{first word: number} of coldfleet-ring show."""
    run = subprocess.run([BIN / "coldfleet-ring", "show", ring_file(stack)], capture_output=True, text=True, check=True)
    return {words.split()[0]: int(words.split()[1]) for words in run.stdout.splitlines()}


def test_telemetry_goes_through_the_ring_and_its_room_is_given_back(line):
    device, before = line.device(), shown(line.stack)["messages"]
    assert device.ask(senml([4.5, 5.5], seq=0, start=NOW)) == {"epoch": 0, "through": 1, "missing": []}
    assert device.temperatures() == [4.5, 5.5]
    assert shown(line.stack)["messages"] == before + 1
    wait_for(lambda: shown(line.stack)["used"] == 0, 10, "the room to be given back")


def test_what_cannot_be_read_goes_to_quarantine_as_ever(line):
    device = line.device()
    device.publish(b"no pack", "text/plain")
    wait_for(device.quarantine, 10, "quarantine")
    (reason, _, payload, kind, _), = device.quarantine()
    assert (reason, payload, kind) == ("syntax", b"no pack", "text/plain")


class Listener(UnixClient):
    """Another subscriber of telemetry, with the rights of the test's publisher."""

    def __init__(self, line):
        super().__init__(client_id="@listener", protocol=paho.MQTTv5)
        self.socket_path, self.heard, self.subscribed = str(line.socket_path), [], threading.Event()
        self.username_pw_set(TEST_USER, TEST_PASSWORD)
        self.on_subscribe = lambda *_: self.subscribed.set()
        self.on_message = lambda _client, _user, message: self.heard.append((message.topic, message.payload))
        self.connect("localhost", 1)
        self.loop_start()
        self.subscribe("cf/v1/+/telemetry", 1)
        assert self.subscribed.wait(20 * PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.disconnect()
        self.loop_stop()


def test_another_subscriber_of_the_same_topics_gets_its_messages(line):
    device = line.device()
    with open(line.stack.dir / "broker" / "acl", "a", encoding="ascii") as acl:
        acl.write("topic read cf/v1/+/telemetry\n")  # of the test's user, who stands last in the file
    line.stack.restart("broker")
    with Listener(line) as listener:
        payload = json.dumps(senml([1.0], seq=0, start=NOW)).encode()
        device.publish(payload)
        wait_for(lambda: listener.heard == [(device.topic, payload)], 20, "the message")
    wait_for(lambda: device.count() == 1, 20, "the reading")


def test_statuses_come_by_the_lane_that_is_left(line):
    device = line.device()
    line.publish(f"cf/v1/{device.serial}/status", b'{"boot":1,"mcu":"running"}')
    line.publish(f"cf/v1/{device.serial}/status", b"[]")
    wait_for(lambda: line.quarantine(f"cf/v1/{device.serial}/status"), 20, "the bad one in quarantine")


# Killed and frozen in the middle of a stream


@pytest.mark.parametrize("seed", [1, 2])
def test_ingest_and_broker_killed_in_turn_at_random_moments_lose_and_double_nothing(line, seed):
    rng, stream, kills = random.Random(seed), Stream(line), 0
    while not stream.done.done():
        time.sleep(rng.uniform(0, 0.5))  # waits for nothing: the moment is what is random
        part = ("ingest", "broker")[kills % 2]
        line.stack.kill(part)
        line.stack.start(part)
        kills += 1
    assert kills >= 3
    stream.assert_complete()
    wait_for(lambda: shown(line.stack)["used"] == 0, 20, "an empty ring")


def test_postgresql_shut_down_in_the_middle_of_a_stream_loses_and_doubles_nothing(line):
    stream = Stream(line)
    stream.wait_until_stored(STREAM // 4)
    shut_down_at_once(line)
    line.stack.start("postgres")
    stream.assert_complete()


def device_of(line, connection):
    """A new device that falls to this one of two connections, with one reading."""
    while True:
        device, fnv = line.device(), 2166136261
        for byte in device.topic.encode():
            fnv = (fnv ^ byte) * 16777619 % 2**32
        if fnv % 2 + 1 == connection:
            device.ask(senml([0], seq=0, start=NOW))
            return device


def test_nothing_is_stored_before_what_was_lost_with_the_connection_while_another_connection_still_stores(line):
    slow, lost, many = device_of(line, 1), device_of(line, 2), [line.device() for _ in range(20)]
    line.stack.stop("ingest")
    for i in range(10):
        for device in many:
            sent = device.send(senml([i], seq=i, start=NOW + i))
    sent.wait_for_publish(20)
    since = line.stack.value("SELECT clock_timestamp()")
    with Ingest(line.stack, "ingest.batch_messages=5", "ingest.connections=2").wait_ready() as ingest:
        wait_for(lambda: all(device.count() == 10 for device in many), 20, "all that came at once")
        assert sessions_that_store(line, since) >= 2, "it was behind, so each connection has devices of its own"
        with state_locked(line, slow):
            with state_locked(line, lost):
                with ingest.together():
                    for device in (slow, lost):
                        device.publish(senml([1], seq=1, start=NOW + 1))
                wait_for(lambda: waiting_for_a_lock(line) == 2, 20, "both connections to wait for their commit")
                line.stack.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'drain-db-2'")
            wait_for(lambda: ingest.log_file.read_text().count("drain-db-2: up") == 2, 20, "the lost connection to be back")
            for i in range(2, 7):
                lost.publish(senml([i], seq=i, start=NOW + i))
            wait_for(lambda: ingest.metric("ring_used_bytes") == shown(line.stack)["used"], 20, "a look at the ring")
            assert [lost.count() for _ in range(20)] == [1] * 20, "what comes waits until it is read again from where it was lost"
        wait_for(lambda: slow.count() == 2 and lost.count() == 7, 20, "all of it")
        assert line.stack.value("SELECT count(*) FROM telemetry.gap WHERE device_id = %s", [lost.id]) == 0
        assert ingest.terminate() == 0
    line.stack.start("ingest")


def test_broker_goes_on_while_ingest_stands_still_and_ingest_catches_up(line):
    with Frozen(line.stack, "ingest"):
        stream = Stream(line)
        stream.done.result(60)  # the broker has acknowledged all of it
        assert stream.stored() < STREAM and shown(line.stack)["used"] > 0
    stream.assert_complete()


def test_full_ring_refuses_before_it_acknowledges_and_the_tracker_brings_it_again(small, tmp_path):
    count = 3000
    path = tmp_path / "series.csv"
    moments = (time.gmtime(NOW - 60 * (count - i)) for i in range(count))
    path.write_text("ts,temperature_c\n" + "".join(time.strftime("%Y-%m-%dT%H:%M:%SZ", t) + f",{i / 16}\n"
                                                   for i, t in enumerate(moments)))
    with Frozen(small.stack, "postgres"):
        tracker = small.stack.tracker_start("replay", "--serial", "spare-01", "--csv", path, "--pack", "1", "--window", "50",
                                            "--resend-after", "1", "--timeout", "100")
        wait_for(lambda: "the ring is full" in small.stack.log("mosquitto"), 40, "the ring to be full")
        state = shown(small.stack)
        assert state["highest"] <= state["room"] == 65536
    try:
        assert tracker.wait(120) == 0, "every sample has its receipt"
    finally:
        tracker.kill()
        tracker.wait()
    rows = small.stack.sql("SELECT temperature_c FROM telemetry.reading JOIN fleet.device USING (device_id) "
                           "WHERE serial = 'spare-01' ORDER BY ts")
    assert [row[0] for row in rows] == [i / 16 for i in range(count)]
    log = small.stack.log("mosquitto")
    assert len(re.findall(r"New client connected .* as spare-01 ", log)) == 1, "a refusal ends no connection of MQTT 5"


def test_full_ring_makes_the_generator_send_the_same_messages_again(small, tmp_path):
    (tmp_path / "serials").write_text("spare-01\nspare-02\n")
    with Frozen(small.stack, "postgres"):
        load = small.stack.tracker_start("load", "--serials", tmp_path / "serials", "--messages", "3000", "--receipts-every", "10",
                                         "--json", stdout=subprocess.PIPE)
        wait_for(lambda: "the ring is full" in small.stack.log("mosquitto"), 40, "the ring to be full")
    try:
        said = json.loads(load.communicate(timeout=100 * PATIENCE)[0])
    finally:
        load.kill()
    assert (load.returncode, said["messages"], said["acked"], said["dropped"]) == (0, 3000, 3000, 0) and said["refused"] > 0, said
    wait_for(lambda: small.stack.value("select count(*) from telemetry.reading") == 3000, 40, "all of them to be stored")
    assert small.stack.sql("SELECT sum(seq_high + 1)::int, sum(gaps)::int FROM telemetry.device_state") == [(3000, 0)], "each number once"
    assert small.stack.value("select count(*) from telemetry.quarantine") == 0


def test_what_was_read_before_the_ring_broke_is_stored(small):
    device = small.device()
    small.stack.stop("ingest")
    with Ingest(small.stack, "ingest.batch_interval=1s").wait_ready() as ingest:
        device.ask(senml([0], seq=0, start=NOW))
        device.publish(senml([1], seq=1, start=NOW + 1))
        for _ in range(2):
            ingest.metric("messages_total")  # its loop has turned: it has read the message, and waits with it for others
        with open(ring_file(small.stack), "r+b") as ring:
            ring.seek(HEAD)
            head = int.from_bytes(ring.read(8), sys.byteorder)
            ring.seek(HEAD)
            ring.write((head + (1 << 40)).to_bytes(8, sys.byteorder))
        wait_for(lambda: "CANNOT BE READ ANY FURTHER" in ingest.log_file.read_text(), 20, "the words")
        wait_for(lambda: device.count() == 2, 20, "what was read")
        assert ingest.terminate() == 0


# Who may, and what is refused


def test_a_second_ingest_is_told_that_the_ring_has_a_reader(line):
    second = Ingest(line.stack, "ingest.client_id=second")
    assert second.process.wait(20) == 2
    assert "another process is its reader" in second.log_file.read_text()


def broker_with(folder, ring):
    """What a broker with the plugin says, and how it ends, when it is given this ring."""
    conf = folder / "mosquitto.conf"
    conf.write_text(f"listener 0 {folder}/s\nallow_anonymous true\nuser root\nplugin {BIN}/coldfleet_broker.so\n"
                    + (f"plugin_opt_ring {ring}\n" if ring else ""))
    run = subprocess.run(["/usr/sbin/mosquitto", "-c", conf], capture_output=True, text=True, timeout=20, check=False)
    return run.returncode, run.stdout + run.stderr


def make(path):
    subprocess.run([BIN / "coldfleet-ring", "create", path, "64KiB"], check=True)
    return path


@pytest.mark.parametrize("wrong, said", [
    ("none", "expected plugin_opt_ring FILE"), ("missing", "No such file"), ("newer", "version 2, expected 1"),
    ("cut", "cut off"), ("no ring", "not a ring")])
def test_plugin_refuses_to_start_without_a_ring_that_it_understands(tmp_path, wrong, said):
    ring = tmp_path / "ring"
    if wrong in ("newer", "cut"):
        make(ring)
    if wrong == "newer":
        with open(ring, "r+b") as f:
            f.seek(7)
            f.write(b"\x02")
    elif wrong == "cut":
        with open(ring, "r+b") as f:
            f.truncate(10000)
    elif wrong == "no ring":
        ring.write_bytes(b"something else" * 1000)
    status, words = broker_with(tmp_path, None if wrong == "none" else ring)
    assert status != 0 and said in words


def test_ring_tool_makes_no_ring_over_another_and_says_what_sizes_there_are(tmp_path):
    ring = make(tmp_path / "ring")
    for size, said in (("64KiB", "exists already"), ("100000", "power of two"), ("1KiB", "power of two"), ("much", "expected a number")):
        run = subprocess.run([BIN / "coldfleet-ring", "create", ring, size], capture_output=True, text=True, check=False)
        assert run.returncode == 1 and said in run.stderr
    assert subprocess.run([BIN / "coldfleet-ring", "dance"], capture_output=True, check=False).returncode == 2
