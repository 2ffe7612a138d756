# SPDX-License-Identifier: Apache-2.0
"""The live stream: who gets which events, that resuming misses and repeats nothing, and what happens to readers that are
slow, too many, or no longer allowed, and when processes go away in the middle."""

import contextlib
import itertools
import random
import signal
import socket
import threading
import time

import pytest

from api_process import api_processes, free_port
from sse import Stream
from stack import PATIENCE, wait_for

numbers = itertools.count(1)


@pytest.fixture
def api(stack, tmp_path):
    with api_processes(stack, tmp_path) as make:
        yield make


@pytest.fixture
def own_api(own_stack, tmp_path):
    with api_processes(own_stack, tmp_path) as make:
        yield make


def device(stack):
    serial = f"stream-{next(numbers)}"
    stack.sql("SELECT fleet.register_device(%s, 'Acme', 'CT-1', 'B')", [serial])
    return serial


def announce(stack, serial, number, connection=None):
    statement = ("SELECT fleet.announce('config', (SELECT device_id FROM fleet.device WHERE serial = %s), jsonb_build_object('n', %s::int))",
                 [serial, number])
    connection.execute(*statement) if connection else stack.sql(*statement)


def warm(stack, serial, degrees):
    stack.sql("UPDATE telemetry.device_state SET temperature_c = %s FROM fleet.device AS d "
              "WHERE d.device_id = device_state.device_id AND serial = %s", [degrees, serial])


def token(stack, group=None, lasts="1 day"):
    name = f"stream-{next(numbers)}"
    secret = stack.value("SELECT fleet.create_token(%s, 'viewer', now() + %s::interval)", [name, lasts])
    if group:
        stack.sql("UPDATE fleet.token SET groups = ARRAY(SELECT group_id FROM fleet.device_group WHERE name = %s) WHERE name = %s", [group, name])
    return name, secret


def group(stack, *serials, filter=None):
    name = f"stream-{next(numbers)}"
    stack.sql("INSERT INTO fleet.device_group (name, filter) VALUES (%s, %s)", [name, filter])
    for serial in serials:
        join(stack, name, serial)
    return name


def join(stack, name, serial):
    stack.sql("INSERT INTO fleet.group_member (group_id, device_id) SELECT group_id, device_id FROM fleet.device_group, fleet.device "
              "WHERE name = %s AND serial = %s", [name, serial])


def leave(stack, name, serial):
    stack.sql("DELETE FROM fleet.group_member WHERE group_id = (SELECT group_id FROM fleet.device_group WHERE name = %s) "
              "AND device_id = (SELECT device_id FROM fleet.device WHERE serial = %s)", [name, serial])


def port_of(stack):
    return int(stack.env["COLDFLEET_API"].rsplit(":", 1)[1])


def listen(stack, secret=None, **query):
    stream = Stream(port_of(stack), secret or stack.env["COLDFLEET_TOKEN_VIEWER"], **query)
    assert stream.status == 200
    return stream


# What comes


def test_changes_over_rest_are_events_with_who_and_why(stack):
    serial = device(stack)
    with listen(stack) as stream:
        assert stream.fields["content-type"] == "text/event-stream" and stream.fields["x-accel-buffering"] == "no"
        assert stream.fields["cache-control"] == "no-store" and "content-encoding" not in stream.fields
        answer = stack.rest(f"/v1/devices/{serial}", "OPERATOR", "PATCH", {"state": "disabled", "reason": "stolen"}, {"If-Match": "*"})
        assert answer.status == 200
        event = stream.until(lambda e: e.device == serial and e.type == "device.lifecycle" and e.body["was"])
        assert (event.body["was"], event.body["state"], event.body["reason"]) == ("active", "disabled", "stolen")
        assert event.body["actor"] and stream.retry == 2000
        answer = stack.rest(f"/v1/devices/{serial}/config", "ADMIN", "PUT", {"config": {"interval_s": 60}}, {"If-Match": "*"})
        assert answer.status == 200
        assert stream.until(lambda e: e.device == serial and e.type == "config").body["version"] == 1


def test_filters_of_device_group_and_type_all_count(stack):
    one, other = device(stack), device(stack)
    name = group(stack, one)
    with contextlib.ExitStack() as open_streams:
        by = {key: open_streams.enter_context(listen(stack, **query)) for key, query in {
            "device": {"device": one, "type": "config"}, "group": {"group": name, "type": "device.lifecycle,config"},
            "both": {"group": name, "device": other}}.items()}
        for stream in by.values():
            wait_for(lambda: stack.metrics("api")["coldfleet_api_stream_readers"] >= 3, 20, "the streams to be open")
        announce(stack, other, 1)
        announce(stack, one, 2)
        assert by["device"].read().body == {"n": 2} and by["group"].read().body == {"n": 2}
        join(stack, name, other)
        announce(stack, other, 3)
        assert by["group"].read().body == {"n": 3}
        assert by["both"].until(lambda e: e.type == "config").body == {"n": 3}


def test_device_of_a_dynamic_group_is_one_that_meets_the_filter_now(stack):
    serial = device(stack)
    name = group(stack, filter='{"state": "quarantined"}')
    with listen(stack, group=name) as stream, listen(stack, device=serial, type="config") as control:
        announce(stack, serial, 1)
        control.read()
        stack.sql("UPDATE fleet.device SET state = 'quarantined' WHERE serial = %s", [serial])
        announce(stack, serial, 2)
        assert stream.until(lambda e: e.type == "config").body == {"n": 2}
        warm(stack, serial, 7.25)
        assert stream.until(lambda e: e.type == "device.state" and "temperature_c" in e.body).body["temperature_c"] == 7.25


def test_state_of_a_named_device_comes_at_once_and_when_it_changes(stack):
    serial = device(stack)
    warm(stack, serial, 4.5)
    with listen(stack, device=serial, type="device.state") as stream:
        assert stream.read().body["temperature_c"] == 4.5
        warm(stack, serial, 5.5)
        assert stream.read().body["temperature_c"] == 5.5


def test_states_of_the_fleet_are_told_once_and_after_a_pause_those_that_changed(stack):
    serials = [device(stack) for _ in range(5)]
    with listen(stack, type="device.state") as stream:
        for n, serial in enumerate(serials):
            warm(stack, serial, n + 1)
        seen = {}
        for _ in serials:
            event = stream.until(lambda e: e.device in serials)
            assert event.device not in seen
            seen[event.device] = event.body["temperature_c"]
        assert seen == {serial: n + 1 for n, serial in enumerate(serials)}
        warm(stack, serials[0], 20)
        assert stream.until(lambda e: e.device in serials).body["temperature_c"] == 20
        assert not any(e.device in serials for e in stream.passed)
    warm(stack, serials[1], 21)
    with listen(stack, last_id=stream.last_id, type="device.state") as stream:
        stream.until(lambda e: e.device == serials[1] and e.body["temperature_c"] == 21)


def test_reading_of_a_tracker_arrives(stack, tmp_path):
    with listen(stack, device="spare-01", type="device.state") as stream:
        stream.read()
        serials = tmp_path / "serials"
        serials.write_text("spare-01\n")
        stack.tracker("run", "--serials", serials, "--count", 1, "--interval", 0.1)
        event = stream.until(lambda e: "temperature_c" in e.body)
        assert event.device == "spare-01"


# Resuming


class Writers:
    """Sessions that announce numbers in transactions of random length, so that they commit in another order than they
    began in."""

    def __init__(self, stack, serial, sessions=6):
        self.stack, self.serial, self.ended = stack, serial, threading.Event()
        self.lock, self.committed, self.given, self.xids = threading.Lock(), set(), itertools.count(), []
        self.threads = [threading.Thread(target=self.write, args=(n,)) for n in range(sessions)]
        for thread in self.threads:
            thread.start()

    def write(self, seed):
        rng = random.Random(seed)
        while not self.ended.is_set():
            with contextlib.suppress(Exception), self.stack.connect() as db:
                while not self.ended.is_set():
                    batch = [next(self.given) for _ in range(rng.randrange(1, 4))]
                    with db.transaction():
                        for n in batch:
                            announce(self.stack, self.serial, n, db)
                            self.ended.wait(rng.choice((0, 0.001, 0.02, 0.2)))
                        xid = db.execute("SELECT pg_current_xact_id()::text::bigint").fetchone()[0]
                    with self.lock:
                        self.committed.update(batch)
                        self.xids.append(xid)
            self.ended.wait(0.2)

    def end(self):
        self.ended.set()
        for thread in self.threads:
            thread.join(30)


def collect(stream, got):
    """Takes what comes until the stream ends or a while; numbers in their order."""
    with contextlib.suppress(TimeoutError):
        while event := stream.read(1):
            got.append(event.body["n"])


def check_all(got, writers, unsure=False):
    """Each committed number once. Of those whose session broke nobody knows whether they were committed."""
    assert len(got) == len(set(got)), f"repeated: {sorted(n for n in got if got.count(n) > 1)[:10]}"
    missed = writers.committed - set(got)
    assert not missed, f"missed {len(missed)} of {len(writers.committed)}: {sorted(missed)[:10]}"
    assert unsure or set(got) == writers.committed


def test_resuming_misses_nothing_and_repeats_nothing_while_commits_overtake_each_other(stack):
    serial = device(stack)
    got, rng, cuts = [], random.Random(1), 0
    with listen(stack, device=serial, type="config") as stream:
        writers = Writers(stack, serial)
        try:
            end = time.monotonic() + 8
            while time.monotonic() < end:
                for _ in range(rng.randrange(1, 30)):
                    event = stream.read()
                    got.append(event.body["n"])
                stream.close()
                cuts += 1
                stream = listen(stack, device=serial, type="config", last_id=stream.last_id)
        finally:
            writers.end()
        announce(stack, serial, -1)
        while (event := stream.read()).body["n"] != -1:
            got.append(event.body["n"])
    check_all(got, writers)
    overtaken = sum(a > b for a, b in itertools.pairwise(writers.xids))
    print(f"events={len(got)} cuts={cuts} commits that came late={overtaken}")
    assert cuts > 5 and overtaken > 5


def test_event_of_a_transaction_that_began_first_and_ended_last_is_not_skipped(stack):
    serial = device(stack)
    with listen(stack, device=serial, type="config") as stream, stack.connect() as slow:
        with slow.transaction():
            announce(stack, serial, 1, slow)
            announce(stack, serial, 2)
            with pytest.raises(TimeoutError):
                stream.read(1)
        assert [stream.read().body["n"], stream.read().body["n"]] == [1, 2]


def test_who_was_away_for_too_long_is_told_and_goes_on_with_the_oldest_event(own_stack, own_api):
    server, serial = own_api(), device(own_stack)
    announce(own_stack, serial, 1)
    with Stream(server.port, server.token, device=serial, type="config") as stream:
        announce(own_stack, serial, 2)
        stream.read()
    announce(own_stack, serial, 3)
    old = stream.last_id
    own_stack.sql("UPDATE fleet.event SET at = now() - interval '25 hours'")
    wait_for(lambda: own_stack.value("SELECT count(*) FROM fleet.event") == 0, 20, "old events to be forgotten")
    announce(own_stack, serial, 4)
    with Stream(server.port, server.token, device=serial, type="config", last_id=old) as stream:
        first = stream.read()
        assert first.type == "reset" and "24:00:00" in first.body["reason"]
        assert stream.read().body == {"n": 4}
    with Stream(server.port, server.token, type="config", last_id="999999999999-0-999999999999") as stream:
        assert "another database" in stream.read().body["reason"]
        announce(own_stack, serial, 5)
        assert stream.read().body == {"n": 5}


def test_sign_of_life_carries_an_id_to_resume_from(api, stack):
    server, serial = api(stream_heartbeat="300ms"), device(stack)
    with Stream(server.port, server.token, device=serial, type="config") as stream:
        with pytest.raises(TimeoutError):
            stream.read(1.5 / PATIENCE)
        assert stream.comments >= 2 and stream.last_id
    announce(stack, serial, 1)
    with Stream(server.port, server.token, device=serial, type="config", last_id=stream.last_id) as stream:
        assert stream.read().body == {"n": 1}


# Who may see it


def test_token_with_a_scope_gets_its_devices_alone_and_no_more_of_one_that_leaves(stack):
    mine, theirs, moving = device(stack), device(stack), device(stack)
    name = group(stack, mine, moving)
    _, secret = token(stack, name)
    _, everything = token(stack)
    with listen(stack, secret) as stream, listen(stack, everything, type="config") as control:
        warm(stack, theirs, 30)
        announce(stack, theirs, 1)
        announce(stack, moving, 2)
        assert stream.until(lambda e: e.type == "config").body == {"n": 2}
        leave(stack, name, moving)
        announce(stack, moving, 3)
        warm(stack, moving, 31)
        announce(stack, mine, 4)
        warm(stack, mine, 3)
        seen = [stream.until(lambda e: e.type == "config").body, *(e.device for e in stream.passed)]
        stream.until(lambda e: e.type == "device.state" and e.body.get("temperature_c") == 3)
        seen += [e.device for e in stream.passed]
        assert seen[0] == {"n": 4} and set(seen[1:]) <= {mine}
        join(stack, name, moving)
        announce(stack, moving, 5)
        assert stream.until(lambda e: e.type == "config").body == {"n": 5}
        control.until(lambda e: e.body == {"n": 3})
    for query in ({"device": theirs}, {"device": "no-such"}):
        with Stream(port_of(stack), secret, **query) as refused:
            assert refused.status == 404
    with Stream(port_of(stack), secret, group=group(stack, theirs)) as refused:
        assert refused.status == 422


def test_stream_of_a_named_device_ends_when_it_leaves_the_scope(api, stack):
    serial = device(stack)
    name = group(stack, serial)
    _, secret = token(stack, name)
    server = api(stream_heartbeat="500ms")
    with Stream(server.port, secret, device=serial) as stream:
        assert stream.read().type == "device.state"
        leave(stack, name, serial)
        warm(stack, serial, 40)
        assert not any(e.body.get("temperature_c") == 40 for e in stream.rest(10))


@pytest.mark.parametrize("how", ["revoked", "expired"])
def test_token_that_ends_ends_its_streams_within_a_heartbeat(api, stack, how):
    server, serial = api(stream_heartbeat="1s"), device(stack)
    name, secret = token(stack)
    with Stream(server.port, secret, device=serial) as stream, Stream(server.port, server.token, device=serial) as other:
        assert stream.read() and other.read()
        column = {"revoked": "revoked_at", "expired": "expires_at"}[how]
        stack.sql(f"UPDATE fleet.token SET {column} = now() WHERE name = %s", [name])
        began = time.monotonic()
        assert stream.rest(10) == []
        took = time.monotonic() - began
        print(f"ended after {took:.2f} s")
        assert took < 2.5 * PATIENCE
        announce(stack, serial, 1)
        assert other.until(lambda e: e.type == "config")
        assert stack.metrics("api") and server.metric("coldfleet_api_stream_readers") == 1


# Too slow, too many


def stalled(port, secret, query=""):
    """A socket that asks for the stream and then reads nothing."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.connect(("127.0.0.1", port))
    s.sendall(f"GET /v1/stream{query} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {secret}\r\n\r\n".encode())
    return s


def admitted(s):
    """Such a socket whose answer has begun; of that it reads the first bytes."""
    s.settimeout(20 * PATIENCE)
    head = s.recv(64)
    assert head.startswith(b"HTTP/1.1 200 "), head
    return s


def flood(stack, serial, count):
    stack.sql("SELECT count(fleet.announce('config', device_id, jsonb_build_object('n', n, 'fill', repeat('x', 1000)))) "
              "FROM fleet.device, generate_series(1, %s) AS n WHERE serial = %s", [count, serial])


def test_slow_reader_is_cut_off_and_one_that_reads_gets_everything(api, stack):
    server, serial = api(stream_buffer="2MiB"), device(stack)  # more than one flood, less than all that come
    slow = admitted(stalled(server.port, server.token))
    with slow, Stream(server.port, server.token, device=serial, type="config") as stream:
        wait_for(lambda: server.metric("coldfleet_api_stream_readers") == 2, 20, "both to listen")
        got = []
        for _ in range(8):
            flood(stack, serial, 1000)
            got += [stream.read().body["n"] for _ in range(1000)]
        assert got == list(range(1, 1001)) * 8
        wait_for(lambda: server.metric("coldfleet_api_stream_cut_total"), 20, "the slow one to be cut off")
        assert server.metric("coldfleet_api_stream_cut_total") == 1
        assert server.metric("coldfleet_api_stream_readers") == 1
        rss = server.rss_mib()
        print(f"rss_mib={rss:.0f}")


def test_reader_that_takes_nothing_is_cut_off_in_time_though_little_waits(api, stack):
    server, serial = api(idle_timeout="1s", stream_heartbeat="200ms", stream_buffer="32MiB"), device(stack)
    with admitted(stalled(server.port, server.token)):
        wait_for(lambda: server.metric("coldfleet_api_stream_readers") == 1, 20, "it to listen")
        flood(stack, serial, 3000)
        wait_for(lambda: server.metric("coldfleet_api_stream_readers") == 0, 20, "it to be cut off")


def test_a_thousand_slow_readers_leave_the_rest_served(api, stack):
    server, serial = api(), device(stack)
    before = server.rss_mib()
    with contextlib.ExitStack() as sockets:
        for _ in range(1000):
            sockets.enter_context(stalled(server.port, server.token))
        wait_for(lambda: server.metric("coldfleet_api_stream_readers") == 1000, 60, "all to listen")
        listening = server.rss_mib()
        with Stream(server.port, server.token, device=serial, type="config") as stream:
            times, most = [], 0
            for n in range(50):
                if n % 5 == 0:
                    flood(stack, serial, 100)
                began = time.monotonic()
                assert server.get(f"/v1/devices/{serial}")[0] == 200
                times.append(time.monotonic() - began)
                most = max(most, server.rss_mib())
            assert [stream.read().body["n"] for _ in range(1000)] == list(range(1, 101)) * 10
        print(f"slowest of 50 requests: {max(times) * 1e3:.0f} ms, median {sorted(times)[25] * 1e3:.0f} ms; "
              f"rss_mib {before:.0f}, with 1000 readers {listening:.0f}, at most {most:.0f}")
        assert max(times) < 5 * PATIENCE
    wait_for(lambda: server.metric("coldfleet_api_stream_readers") == 0, 30, "all to be gone")


def test_more_readers_than_configured_get_503(api, stack):
    server = api(stream_readers=2)
    with Stream(server.port, server.token) as one, Stream(server.port, server.token) as two:
        assert (one.status, two.status) == (200, 200)
        status, fields, _ = server.get("/v1/stream")
        assert status == 503 and "retry-after" in fields
        one.close()
        wait_for(lambda: server.metric("coldfleet_api_stream_readers") == 1, 20, "the one that left to be noticed")
        with Stream(server.port, server.token) as three:
            assert three.status == 200


def test_streams_never_take_more_than_half_of_the_connections(api, stack):
    server = api(max_connections=4)
    with Stream(server.port, server.token), Stream(server.port, server.token):
        assert server.get("/v1/stream")[0] == 503
        assert server.get("/v1/devices?limit=1")[0] == 200


def test_head_of_the_stream_ends(api):
    server = api()
    with server.connect() as s:
        s.sendall(f"HEAD /v1/stream HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {server.token}\r\n\r\n".encode())
        head = b""
        while piece := s.recv(4096):
            head += piece
        assert head.startswith(b"HTTP/1.1 200") and b"text/event-stream" in head and head.endswith(b"\r\n\r\n")


# Processes that go away


def test_stream_is_resumed_over_restarts_of_the_api_without_a_gap(stack, tmp_path):
    serial, port, got = device(stack), free_port(), []
    with api_processes(stack, tmp_path) as make:
        server = make(port=port)
        stream = Stream(port, server.token, device=serial, type="config")
        writers = Writers(stack, serial)
        try:
            for how in (signal.SIGTERM, signal.SIGKILL):
                for _ in range(40):
                    got.append(stream.read().body["n"])
                server.signal(how)
                collect(stream, got)
                server.process.wait(20 * PATIENCE)
                stream.close()
                again = make(port=port)
                if how == signal.SIGKILL:
                    server.process.returncode = 0  # as it was told to
                server = again
                stream = Stream(port, server.token, device=serial, type="config", last_id=stream.last_id)
        finally:
            writers.end()
        announce(stack, serial, -1)
        while (event := stream.read()).body["n"] != -1:
            got.append(event.body["n"])
        stream.close()
    check_all(got, writers)


def came_up(stack, part):
    """False: it cannot start yet, its old processes are still going."""
    with contextlib.suppress(AssertionError):
        stack.start(part)
        return True
    return False


def test_stream_goes_on_over_a_restart_of_postgresql_without_a_gap(own_stack, tmp_path):
    serial, got = device(own_stack), []
    with listen(own_stack, device=serial, type="config") as stream:
        writers = Writers(own_stack, serial)
        try:
            for _ in range(40):
                got.append(stream.read().body["n"])
            own_stack.kill("postgres")
            wait_for(lambda: came_up(own_stack, "postgres"), 30, "PostgreSQL to come back")
            for _ in range(40):
                got.append(stream.read(60).body["n"])
        finally:
            writers.end()
        announce(own_stack, serial, -1)
        while (event := stream.read()).body["n"] != -1:
            got.append(event.body["n"])
    check_all(got, writers, unsure=True)
