# SPDX-License-Identifier: Apache-2.0
"""Nothing is lost and nothing happens twice, whatever is killed or stands still, at whatever moment: ingest, PostgreSQL,
the broker, one of two ingest processes, the flash of a tracker. Nothing is acknowledged before it is committed."""

import json
import os
import random
import re
import select
import signal
import socket
import ssl
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from ingest_helpers import STREAM, Frozen, Ingest, Line, Stream, http_get, senml
from stack import BIN, PATIENCE, wait_for

NOW = round(time.time())


@pytest.fixture(scope="module")
def line(stack):
    with Line(stack) as line:
        yield line


def shut_down_at_once(line):
    """What pg_ctl stop -m immediate does: no checkpoint, so the next start is a recovery."""
    os.kill(line.stack.pid("postgres"), signal.SIGQUIT)
    wait_for(lambda: not line.stack.alive("postgres"), 20, "PostgreSQL to be gone")


# Never before the commit


def committing(ingest):
    """Messages in the batches that the lanes are committing now, by their own account."""
    states = dict(re.findall(r"(lane-\d+): \w+ -> (\w+ messages=\d+)", ingest.log_file.read_text()))
    return sum(int(state.split("=")[1]) for state in states.values() if state.startswith("COMMITTING"))


def publish_together(ingest, device, numbers):
    """They come to ingest at once."""
    with ingest.together():
        for i in numbers:
            device.publish(senml([i], seq=i, start=NOW + i), ask=True)


def send_into_commit(line, ingest, device):
    """Forty messages that come to ingest at once; returns when the lane waits for their commit, which must be blocked."""
    publish_together(ingest, device, range(1, 41))
    wait_for(lambda: committing(ingest) == 40, 20, "the lane to wait for their commit")
    assert ingest.metric("messages_total") == 1
    assert len(device.receipts()) == 1


@contextmanager
def commits_blocked(line):
    """Readings are inserted, and their transaction waits: the table of latest state is locked."""
    blocker = line.stack.connect()
    blocker.execute("BEGIN; LOCK TABLE telemetry.device_state IN ACCESS EXCLUSIVE MODE")
    try:
        yield
    finally:
        blocker.close()


@pytest.fixture
def held(line, without_ingest):
    """An ingest that says what its lanes do, and a device with one sample stored."""
    device = line.device()
    with Ingest(line.stack, "ingest.log_level=debug").wait_ready() as ingest:
        device.ask(senml([0], seq=0, start=NOW))
        yield ingest, device


def assert_40_more(device):
    wait_for(lambda: device.count() == 41, 20, "all forty")
    assert device.temperatures() == list(range(41))
    assert device.quarantine() == []


@pytest.mark.parametrize("how", ["postgres-stands-still", "a-lock-is-held"])
def test_nothing_is_acknowledged_and_no_receipt_is_sent_before_the_commit(line, held, how):
    ingest, device = held
    with Frozen(line.stack, "postgres") if how == "postgres-stands-still" else commits_blocked(line):
        send_into_commit(line, ingest, device)
        ingest.kill()
    with Ingest(line.stack) as again:
        wait_for(lambda: again.metric("messages_total") == 40, 20, "the broker to deliver all 40 again: none was acknowledged")
        wait_for(lambda: device.receipts()[-1]["through"] == 40, 20, "a receipt")
        assert_40_more(device)
        assert again.terminate() == 0


def test_nothing_is_acknowledged_while_full_batches_wait_for_their_commit_one_behind_the_other(line, without_ingest):
    device = line.device()
    settings = ["ingest.batch_messages=5", "ingest.connections=1"]
    with Ingest(line.stack, *settings).wait_ready() as ingest, commits_blocked(line):
        for i in range(40):
            device.publish(senml([i], seq=i, start=NOW + i), ask=True)
        wait_for(lambda: line.stack.value("SELECT count(*) FROM pg_stat_activity WHERE usename = 'coldfleet_ingest' AND wait_event_type = 'Lock'"),
                 20, "the first batch to wait for its commit")
        ingest.kill()
    assert device.receipts() == []
    with Ingest(line.stack, *settings) as again:
        wait_for(lambda: again.metric("messages_total") == 40, 20, "the broker to deliver all 40 again: none was acknowledged")
        wait_for(lambda: device.receipts() and device.receipts()[-1]["through"] == 39, 20, "a receipt")
        assert device.temperatures() == list(range(40))
        assert again.terminate() == 0


def test_as_many_messages_as_are_read_in_one_go_are_stored_when_nothing_comes_after_them(line, held):
    ingest, device = held
    publish_together(ingest, device, range(1, 257))
    wait_for(lambda: device.count() == 257, 10, "all of them")


def test_postgresql_shut_down_while_batches_are_in_flight_loses_nothing(line, held):
    ingest, device = held
    with commits_blocked(line):
        send_into_commit(line, ingest, device)
        shut_down_at_once(line)
    assert len(device.receipts()) == 1
    line.stack.start("postgres")
    assert_40_more(device)
    wait_for(lambda: device.receipts()[-1]["through"] == 40, 20, "a receipt")
    assert ingest.metric("messages_total") == 41 and ingest.metric("lane_drops_total") == 1


def test_broker_killed_while_batches_are_in_flight_loses_nothing_and_the_lane_comes_back(line, held):
    ingest, device = held
    with commits_blocked(line):
        send_into_commit(line, ingest, device)
        line.stack.kill("broker")
    assert_40_more(device)
    line.stack.start("broker")
    wait_for(lambda: ingest.ready() == (200, "ready"), 20, "the lane to be back")
    wait_for(line.publisher.connected.is_set, 20, "the publisher to be back")
    assert device.ask(senml([41], seq=41, start=NOW + 41)) == {"epoch": 0, "through": 41, "missing": []}


class Tls:
    """Ends TLS in front of the broker, as a load balancer does. What the broker sends while it is held goes on as one record."""

    def __init__(self, line):
        stack, self.socket_path = line.stack, line.socket_path
        certs = Path(stack.env["COLDFLEET_CERTS"])
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certs / "server.crt", certs / "server.key")
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.passing = threading.Event()
        self.passing.set()
        self.passed = [0]  # bytes of the records
        self.settings = ["ingest.mqtt_host=127.0.0.1", f"ingest.mqtt_port={self.listener.getsockname()[1]}",
                         f"ingest.mqtt_ca={stack.env['COLDFLEET_CA']}"]

    def _serve(self):
        with suppress(OSError):
            while True:
                raw, _ = self.listener.accept()
                threading.Thread(target=self._relay, args=(raw,), daemon=True).start()

    def _relay(self, raw):
        with suppress(OSError), socket.socket(socket.AF_UNIX) as broker, self.context.wrap_socket(raw, server_side=True) as client:
            broker.connect(self.socket_path)
            client.setblocking(False)
            while True:
                select.select([client, broker] if self.passing.is_set() else [client], [], [], 0.05)
                with suppress(ssl.SSLWantReadError):
                    while data := client.recv(16384):
                        broker.sendall(data)
                    return
                if self.passing.is_set() and select.select([broker], [], [], 0)[0]:
                    data = broker.recv(16384)
                    if not data:
                        return
                    client.sendall(data)
                    self.passed.append(len(data))

    def __enter__(self):
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def waiting_for_a_lock(line):
    return line.stack.value("SELECT count(*) FROM pg_stat_activity WHERE usename = 'coldfleet_ingest' AND wait_event_type = 'Lock'")


def test_messages_that_come_in_one_tls_record_while_two_batches_are_full_are_stored_and_in_order(line, without_ingest):
    device = line.device()
    with Tls(line) as tls, Ingest(line.stack, *tls.settings, "ingest.batch_messages=10", "ingest.connections=1").wait_ready() as ingest:
        with commits_blocked(line):
            publish_together(ingest, device, range(10))
            wait_for(lambda: waiting_for_a_lock(line), 20, "the first batch to wait for its commit")
            tls.passing.clear()
            for i in range(10, 60):
                device.publish(senml([i], seq=i, start=NOW + i), ask=True)
            tls.passing.set()
            wait_for(lambda: max(tls.passed) > 50 * 100, 20, "one record of many messages")
            assert ingest.metric("messages_total") == 0
        wait_for(lambda: device.receipts() and device.receipts()[-1]["through"] == 59, 20, "a receipt of all")
        assert device.temperatures() == list(range(60))
        assert ingest.metric("messages_total") == 60 and ingest.metric("lane_drops_total") == 0
        assert ingest.terminate() == 0


@contextmanager
def state_locked(line, device):
    """What is stored of this device waits for its commit."""
    with line.stack.connect() as blocker:
        blocker.execute("BEGIN; SELECT FROM telemetry.device_state WHERE device_id = %d FOR UPDATE" % device.id)
        yield
        blocker.execute("ROLLBACK")


def sessions_that_store(line, since):
    return line.stack.value("SELECT count(*) FROM pg_stat_activity WHERE usename = 'coldfleet_ingest' AND application_name LIKE '%%-db-%%' "
                            "AND query_start > %s", [since])


def test_one_connection_does_all_while_it_keeps_up_and_more_do_what_is_behind_in_order_for_each_device(line, without_ingest):
    devices, told = [line.device() for _ in range(20)], 0
    other, others = line.device(), 0

    def sessions_of_a_calm_moment():
        nonlocal told
        since = line.stack.value("SELECT clock_timestamp()")
        for device in devices[1:]:
            device.send(senml([told], seq=told, start=NOW + told))
        assert devices[0].ask(senml([told], seq=told, start=NOW + told))["through"] == told
        told += 1
        wait_for(lambda: all(device.count() == told for device in devices), 20, "all of a calm moment")
        return sessions_that_store(line, since)

    with Ingest(line.stack, "ingest.batch_messages=50", "ingest.connections=2").wait_ready() as ingest:
        for _ in range(2):
            assert 1 in (sessions_of_a_calm_moment() for _ in range(100))
            assert [sessions_of_a_calm_moment() for _ in range(5)] == [1] * 5
            since = line.stack.value("SELECT clock_timestamp()")
            with state_locked(line, devices[0]):
                with ingest.together():
                    for i in range(others, others + 100):  # two turns that are stored, before one that waits
                        other.send(senml([i], seq=i, start=NOW + i))
                    others += 100
                    for i in range(told, told + 30):
                        for device in devices:
                            sent = device.send(senml([i], seq=i, start=NOW + i))
                    sent.wait_for_publish(20)
                wait_for(lambda: waiting_for_a_lock(line) and other.count() == others, 20, "a batch to wait for its commit")
                assert [sessions_that_store(line, since) for _ in range(20)] == [1] * 20, "the next one, which is for both, waits"
            told += 30
            wait_for(lambda: all(device.count() == told for device in devices), 20, "all that came at once")
            assert sessions_that_store(line, since) == 2
        assert all(device.temperatures() == list(range(told)) for device in devices)
        assert line.stack.value("SELECT count(*) FROM telemetry.gap WHERE device_id = ANY(%s)", [[device.id for device in devices]]) == 0, \
            "no number was stored before the one that was sent before it"
        assert ingest.terminate() == 0


@contextmanager
def no_new_connections(line):
    line.stack.sql("ALTER ROLE coldfleet_ingest CONNECTION LIMIT 0")
    try:
        yield
    finally:
        line.stack.sql("ALTER ROLE coldfleet_ingest CONNECTION LIMIT -1")


def test_message_of_an_unknown_device_while_the_directory_has_no_connection_waits_for_it(line, held):
    ingest, device = held
    topic = "cf/v1/nobody-knows/telemetry"
    with no_new_connections(line):
        line.stack.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'directory'")
        wait_for(lambda: "directory: lost" in ingest.log_file.read_text(), 20, "the directory to be lost")
        line.publish(topic, json.dumps(senml([1], seq=1)).encode())
        wait_for(lambda: ingest.metric("lane_drops_total") >= 1, 20, "the lane to let go of it")
    wait_for(lambda: line.quarantine(topic), 40, "the message in quarantine")
    assert [row[0] for row in line.quarantine(topic)] == ["unknown-device"]
    assert device.ask(senml([1], seq=1, start=NOW + 1))["through"] == 1


@pytest.fixture
def repaired(line):
    """For a test that leaves PostgreSQL and the broker down."""
    yield
    line.stack.start("postgres")
    line.stack.start("broker")
    wait_for(line.publisher.connected.is_set, 20, "the publisher to be back")


@pytest.mark.usefixtures("without_ingest", "repaired")
def test_stopped_while_broker_and_then_postgresql_are_gone_it_ends_at_once(line):
    device = line.device()
    with Ingest(line.stack, "ingest.batch_messages=10", "ingest.connections=1").wait_ready() as ingest:
        with commits_blocked(line):
            publish_together(ingest, device, range(10))
            wait_for(lambda: waiting_for_a_lock(line), 20, "the batch to wait for its commit")
            line.stack.kill("broker")
            wait_for(lambda: "lane-1: lost" in ingest.log_file.read_text(), 20, "the lane to be lost")
            ingest.process.terminate()
            wait_for(lambda: "stop signal" in ingest.log_file.read_text(), 20, "the signal")
            shut_down_at_once(line)
        assert ingest.process.wait(20 * PATIENCE) == 0
        assert "did not end" not in ingest.log_file.read_text()


# Killed and frozen in the middle of a stream


@pytest.mark.parametrize("seed", [1, 2])
def test_ingest_killed_at_random_moments_of_a_stream_loses_and_doubles_nothing(line, without_ingest, seed):
    rng, stream, kills = random.Random(seed), Stream(line), 0
    while not stream.done.done():
        with Ingest(line.stack) as ingest:
            if kills % 2 == 0:
                ingest.wait_ready()
            time.sleep(rng.uniform(0, 0.3))  # waits for nothing: the moment is what is random
        kills += 1
    assert kills >= 5
    with Ingest(line.stack) as ingest:
        stream.assert_complete()
        assert ingest.terminate() == 0


def test_postgresql_shut_down_at_once_in_the_middle_of_a_stream_loses_and_doubles_nothing(line):
    stream, lost = Stream(line), line.stack.log("ingest").count("lane-1-db-1: lost")
    for part in (1, 2):
        stream.wait_until_stored(STREAM * part // 4)
        shut_down_at_once(line)
        line.stack.start("postgres")
    stream.assert_complete()
    assert line.stack.log("ingest").count("lane-1-db-1: lost") >= lost + 2


def test_backend_of_ingest_killed_in_the_middle_of_a_stream_loses_and_doubles_nothing(line):
    stream = Stream(line)
    stream.wait_until_stored(STREAM // 4)
    (pid,), = line.stack.sql("SELECT min(pid) FROM pg_stat_activity WHERE application_name LIKE 'lane-%'")
    os.kill(pid, signal.SIGKILL)
    stream.assert_complete()


def test_postgresql_standing_still_for_five_seconds_under_load_loses_and_doubles_nothing(line):
    stream = Stream(line)
    stream.wait_until_stored(STREAM // 4)
    with Frozen(line.stack, "postgres"):
        until = time.monotonic() + 5
        while time.monotonic() < until:
            status, _ = http_get(line.stack.env["COLDFLEET_METRICS_INGEST"].replace("/metrics", "/healthz"))
            assert status == 200, "ingest itself must not stand still"
    stream.assert_complete()


# Two processes


def test_two_ingest_processes_share_the_work_and_one_of_them_killed_loses_and_doubles_nothing(line):
    before = line.metric("messages_total")
    second = Ingest(line.stack, "ingest.client_id=second").wait_ready()
    stream = Stream(line)
    try:
        wait_for(lambda: second.metric("messages_total") > 500 and line.metric("messages_total") - before > 500, 30,
                 "both to have stored some")
        second.kill()
        assert stream.stored() < STREAM
        stream.done.result(60)
        second = Ingest(line.stack, "ingest.client_id=second").wait_ready()
        stream.assert_complete()
        assert second.terminate() == 0
    finally:
        second.kill()
        retire(line, "second")


def retire(line, client_id):
    """What docs/operations.md says to do with a process that is not to come back."""
    with Ingest(line.stack, f"ingest.client_id={client_id}", "ingest.leave=yes") as leaving:
        assert leaving.process.wait(30) == 0


@contextmanager
def commits_slow(line, device, seq):
    """Those with numbers of the device from `seq` on take longer than a lane that leaves waits for more to come."""
    line.stack.sql(f"""CREATE FUNCTION public.slow() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM pg_sleep(3); RETURN NEW; END$$;
        CREATE TRIGGER slow BEFORE INSERT OR UPDATE ON telemetry.device_state FOR EACH ROW
        WHEN (NEW.device_id = {device.id} AND NEW.seq_high >= {seq}) EXECUTE FUNCTION public.slow()""")
    try:
        yield
    finally:
        line.stack.sql("DROP FUNCTION public.slow() CASCADE")


def test_process_taken_out_of_service_ends_too_when_it_stores_for_longer_than_it_waits_for_more(line, without_ingest):
    """With a ring it is told of one more subscription that is gone: of what is unwanted."""
    device = line.device()
    with Ingest(line.stack, "ingest.client_id=leaver").wait_ready() as ingest:
        assert ingest.terminate() == 0
    for i in range(40):
        device.publish(senml([i], seq=i, start=NOW + i))
    with commits_slow(line, device, 35), Ingest(line.stack, "ingest.client_id=leaver", "ingest.leave=yes", "ingest.ring=/none",
                                                "ingest.batch_messages=2") as leaving:
        assert leaving.process.wait(30 * PATIENCE) == 0
    assert device.count() == 20, "the half that waited for it"


def test_process_taken_out_of_service_first_stores_what_waits_for_it_and_then_gets_nothing_more(line):
    device = line.device()
    with Ingest(line.stack, "ingest.client_id=leaver").wait_ready() as ingest:
        assert ingest.terminate() == 0
    for i in range(40):
        device.publish(senml([i], seq=i, start=NOW + i))
    wait_for(lambda: device.count() == 20, 20, "the half that the stack's own ingest is given")
    retire(line, "leaver")
    wait_for(lambda: device.count() == 40, 20, "the half that waited")
    for i in range(40, 80):
        device.publish(senml([i], seq=i, start=NOW + i))
    wait_for(lambda: device.count() == 80, 20, "all of what came after")


# With a tracker that keeps its samples until the receipt


def series(folder, count):
    """A file of samples a minute apart until now; their temperatures are their numbers."""
    path = folder / "series.csv"
    moments = (time.gmtime(NOW - 60 * (count - i)) for i in range(count))
    lines = (time.strftime("%Y-%m-%dT%H:%M:%SZ", t) + f",{i / 16}\n" for i, t in enumerate(moments))
    path.write_text("ts,temperature_c\n" + "".join(lines))
    return path


def stored_of(line, serial):
    return [row[0] for row in line.stack.sql("SELECT temperature_c FROM telemetry.reading JOIN fleet.device USING (device_id) "
                                             "WHERE serial = %s ORDER BY ts", [serial])]


def test_broker_killed_twice_while_a_tracker_sends_loses_and_doubles_nothing(line, tmp_path):
    serial, count = "spare-01", 6000
    tracker = line.stack.tracker_start("replay", "--serial", serial, "--csv", series(tmp_path, count), "--pack", "1",
                                       "--window", "4", "--resend-after", "0.5", "--timeout", "60")
    try:
        for part in (1, 2):
            wait_for(lambda: len(stored_of(line, serial)) >= count * part // 4, 40, "a part of the series")
            assert tracker.poll() is None, "the broker must be killed while the tracker sends"
            line.stack.kill("broker")
            line.stack.start("broker")
        assert tracker.wait(90) == 0, "every sample has its receipt"
    finally:
        tracker.kill()
        tracker.wait()
    assert stored_of(line, serial) == [i / 16 for i in range(count)]


def held_in(flash):
    """(epoch, numbers) of a flash, by the tracker's own reading of it."""
    run = subprocess.run([BIN / "coldfleet-tracker", "flash", "--file", flash], capture_output=True, text=True, check=True)
    held = json.loads(run.stdout)
    return held["epoch"], set(held["samples"])


def gaps_of(line, serial):
    return line.stack.sql("SELECT epoch, missing::text, lost::text FROM telemetry.gap JOIN fleet.device USING (device_id) "
                          "WHERE serial = %s ORDER BY seq_from", [serial])


def numbers_of(line, serial, epoch):
    return {row[0] for row in line.stack.sql("SELECT seq FROM telemetry.reading JOIN fleet.device USING (device_id) "
                                             "WHERE serial = %s AND epoch = %s", [serial, epoch])}


@pytest.mark.parametrize("how", ["wiped", "damaged"])
def test_flash_lost_with_samples_that_did_not_arrive_ends_in_gaps_that_are_called_lost_and_nothing_else_is_missing(line, tmp_path, how):
    serial = f"flash-{how}"
    line.stack.enrol(serial)
    (tmp_path / "serials").write_text(f"{serial}\n")
    words = ["run", "--serials", tmp_path / "serials", "--flash", tmp_path / "flash", "--diary", tmp_path / "diary", "--epoch", "-2", "--interval", "0.1"]
    flash, copy = tmp_path / "flash" / f"{serial}.flash", tmp_path / "copy"
    tracker = line.stack.tracker_start(*words, "--lose", "0.3", "--resend-after", "600", stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: gaps_of(line, serial), 20, "samples that did not arrive")
        tracker.kill()
        tracker.wait()
        copy.write_bytes(flash.read_bytes())
        if how == "wiped":
            flash.unlink()
        else:
            flash.write_bytes(bytes(128) + copy.read_bytes()[128:])  # both headers
        tracker = line.stack.tracker_start(*words, stderr=subprocess.DEVNULL)
        wait_for(lambda: all(missing == "{}" for _, missing, _ in gaps_of(line, serial)), 40, "the answer: it is asked again after 10 s")
        assert numbers_of(line, serial, 2), "it goes on in the next epoch"
    finally:
        tracker.kill()
        tracker.wait()
    epoch, held = held_in(copy)
    diary = [json.loads(said) for said in (tmp_path / "diary" / f"{serial}.samples").read_text().splitlines()]
    stored, measured = numbers_of(line, serial, 1), {said["seq"] for said in diary if said["epoch"] == 1}
    assert epoch == 1 and measured - stored <= held | {max(measured)}
    called = line.stack.sql("SELECT lower(r), upper(r) FROM telemetry.gap JOIN fleet.device USING (device_id), unnest(lost) AS u (r) WHERE serial = %s", [serial])
    assert {n for first, end in called for n in range(first, end)} == {n for n in measured - stored if n < max(stored)} != set()
