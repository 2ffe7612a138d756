# SPDX-License-Identifier: Apache-2.0
"""REST as its clients meet it, over raw sockets where the bytes matter: what is refused and how, deadlines and caps,
PostgreSQL going away and coming back, an orderly stop. Each test of limits runs a coldfleet-api of its own with small
ones, on the stack's database."""

import contextlib
import json
import re
import select
import signal
import socket
import struct
import subprocess
import time
from datetime import datetime, timedelta, timezone

import pytest

from api_process import read_all, read_answer
from stack import BIN, PATIENCE, ROOT, wait_for

CORPUS = sorted((ROOT / "tests/fuzz/corpus/fuzz_http_head").glob("*.http"))
GET = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"


class Api:
    """A coldfleet-api on a Unix socket."""

    def __init__(self, stack, folder, **settings):
        self.path = str(folder / "api.sock")
        self.token = stack.env["COLDFLEET_TOKEN_VIEWER"]
        values = {"listen": f"unix:{self.path}", "monitor": "", **settings}
        words = [w for key, value in values.items() for w in ("--set", f"api.{key}={value}")]
        self.log = open(folder / "api.log", "w+", encoding="utf-8")
        self.process = subprocess.Popen([BIN / "coldfleet-api", "--config", stack.dir / "coldfleet.ini", *words],
                                        stderr=self.log)
        wait_for(lambda: self.status("/readyz") == 200, 20, "coldfleet-api to be ready")

    def connect(self):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(20 * PATIENCE)
        s.connect(self.path)
        return s

    def head(self, path, *fields, method="GET"):
        lines = [f"{method} {path} HTTP/1.1", "Host: a", f"Authorization: Bearer {self.token}", *fields, "", ""]
        return "\r\n".join(lines).encode()

    def ask(self, request):
        """Sends the bytes, shuts our side, returns all that comes until the server closes."""
        with self.connect() as s:
            s.sendall(request)
            s.shutdown(socket.SHUT_WR)
            return read_all(s)

    def status(self, path):
        return int(self.ask(self.head(path)).split()[1])

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20 * PATIENCE)


@pytest.fixture
def api(stack, tmp_path):
    """Makes APIs with settings of the test's choice; ends them all."""
    made = []

    def make(**settings):
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(Api(stack, folder, **settings))
        return made[-1]

    yield make
    for one in made:
        if one.process.poll() is None:
            assert one.stop() == 0
        one.log.seek(0)
        print(one.log.read()[-3000:])
        one.log.seek(0)
        assert "Sanitizer" not in one.log.read()


@pytest.fixture
def locked(stack):
    """A function that holds up every call that proves a token until it is called again."""
    with stack.connect(application_name="lock") as db:
        db.autocommit = False

        def switch():
            if db.info.transaction_status.name == "IDLE":
                db.execute("LOCK TABLE fleet.token IN ACCESS EXCLUSIVE MODE")
            else:
                db.rollback()

        yield switch
        db.rollback()


def waiting(stack):
    return stack.value("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'fleet.token'::regclass")


# What is refused on the wire


def test_every_shape_of_the_corpus_is_answered_as_its_name_says(api):
    server = api()
    assert len(CORPUS) > 100
    for file in CORPUS:
        expected = file.name.split("-")[0]
        with server.connect() as s:
            s.sendall(file.read_bytes())
            if expected == "ok":
                s.shutdown(socket.SHUT_WR)
            answer = read_all(s)  # a refusal ends the connection although our side stays open
        statuses = re.findall(rb"^HTTP/1\.1 (\d{3}) ", answer, re.MULTILINE)
        if expected == "ok":
            # Its way goes on to a route: only a refused request ends a connection that did not ask for it.
            assert statuses and max(statuses) < b"500", f"{file.name}: {answer[:300]}"
            assert b"Connection: close" not in answer or "connection" in file.name, f"{file.name}: {answer[:300]}"
        else:
            assert statuses == [expected.encode()], f"{file.name}: {answer[:300]}"
            assert b"Connection: close\r\n" in answer and b"urn:coldfleet:problem:" in answer, file.name


def test_a_request_hidden_behind_a_refused_one_is_never_served(api):
    server = api()
    answer = server.ask(b"POST /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 34\r\n\r\n" + GET)
    assert answer.count(b"HTTP/1.1 ") == 1 and b"alive" not in answer


def test_bytes_that_come_one_by_one_mean_the_same(api):
    server = api()
    with server.connect() as s:
        for byte in GET:
            s.sendall(bytes([byte]))
        assert read_answer(s)[0] == 200
        for byte in GET.replace(b"Host:", b"Host :"):
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                s.sendall(bytes([byte]))
        assert b"400 Bad Request" in read_all(s)


def test_pipelined_requests_are_answered_in_order(api):
    server = api()
    wanted = [b"/healthz", b"/v1/nope", b"/readyz", b"/v1/devices"] * 20
    answer = server.ask(b"".join(b"GET %s HTTP/1.1\r\nHost: a\r\nX-Request-Id: n%d\r\n\r\n" % (path, n)
                                 for n, path in enumerate(wanted)))
    statuses = re.findall(rb"^HTTP/1\.1 (\d{3}) ", answer, re.MULTILINE)
    assert statuses == [b"200", b"404", b"200", b"401"] * 20
    assert re.findall(rb"^X-Request-Id: n(\d+)\r", answer, re.MULTILINE) == [b"%d" % n for n in range(80)]


def test_client_that_expects_100_continue_gets_it_before_it_sends_the_body(api):
    server = api()
    with server.connect() as s:
        s.sendall(b"POST /v1/devices HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert s.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        s.sendall(b"{}")
        assert read_answer(s)[0] == 401


def test_head_is_answered_without_a_body(api):
    server = api()
    answer = server.ask(server.head("/v1/devices", method="HEAD"))
    assert answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"\r\n\r\n")
    assert int(re.search(rb"Content-Length: (\d+)", answer)[1]) > 0


# Deadlines and caps


@pytest.mark.parametrize("begun", [b"", b"POST /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n"],
                         ids=["head", "body"])
def test_a_drip_of_bytes_ends_at_the_request_timeout(api, begun):
    server = api(request_timeout="1s")
    begin = time.monotonic()
    with server.connect() as s:
        s.sendall(begun)
        s.settimeout(0.1)
        answer = b""
        for byte in b"GET /" + b"x" * 90:  # less than a whole request either way
            s.sendall(bytes([byte]))
            with contextlib.suppress(TimeoutError):
                answer = s.recv(4096)
                break
    assert answer.startswith(b"HTTP/1.1 408 "), answer
    assert 0.9 <= time.monotonic() - begin < 5 * PATIENCE


def test_idle_connection_ends_without_a_word(api):
    server = api(idle_timeout="300ms")
    with server.connect() as s:
        assert read_all(s) == b""
    with server.connect() as s:
        s.sendall(GET)
        assert read_all(s).count(b"HTTP/1.1 ") == 1


def test_full_house_closes_the_longest_idle_and_turns_away_when_none_idles(api):
    server = api(max_connections=3)
    with contextlib.ExitStack() as stack:
        first, second, third = (stack.enter_context(server.connect()) for _ in range(3))
        for s in (first, second, third):
            s.sendall(GET)
            assert read_answer(s)[0] == 200
        fourth = stack.enter_context(server.connect())
        assert first.recv(1) == b"", "the longest idle one had to make room"
        for s in (second, third, fourth):
            s.sendall(GET[:10])  # in the middle of a request now
        fourth.sendall(GET[10:])
        assert read_answer(fourth)[0] == 200
        fourth.sendall(GET[:10])
        wait_for(lambda: turned_away(server), 10, "a connection to be turned away")
        second.sendall(GET[10:])
        assert read_answer(second)[0] == 200, "who was in stays in"


def turned_away(server):
    with server.connect() as s:
        status, fields, body = read_answer(s)
        return status == 503 and fields["retry-after"] and json.loads(body)["status"] == 503


def test_one_address_gets_no_more_than_its_share(stack):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        at = probe.getsockname()
    process = subprocess.Popen([BIN / "coldfleet-api", "--config", stack.dir / "coldfleet.ini", "--set",
                                f"api.listen=127.0.0.1:{at[1]}", "--set", "api.monitor=", "--set",
                                "api.max_connections_per_address=2"], stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: socket.create_connection(at).close() or True, 10, "coldfleet-api to listen")
        with contextlib.ExitStack() as held:

            def connect():
                s = held.enter_context(socket.create_connection(at, 10))
                s.sendall(GET)
                return read_answer(s)[0]

            wait_for(lambda: connect() == 503, 10, "the third connection to be turned away")
        wait_for(lambda: socket_status(at) == 200, 10, "room again after they have gone")
    finally:
        process.terminate()
        assert process.wait(20) == 0


def socket_status(at):
    with socket.create_connection(at, 10) as s:
        s.sendall(GET)
        return read_answer(s)[0]


def test_slow_statement_is_given_up_with_503_and_the_connection_lives(stack, api, locked):
    server = api(request_timeout="1s", connections=1)
    locked()
    answer = server.ask(server.head("/v1/devices"))
    locked()
    assert answer.startswith(b"HTTP/1.1 503 ") and b"Retry-After: " in answer
    assert server.status("/v1/devices") == 200


def test_more_requests_than_the_database_can_queue_get_503_at_once(stack, api, locked):
    server = api(connections=1)
    locked()
    with contextlib.ExitStack() as held:
        sent = [held.enter_context(server.connect()) for _ in range(300)]
        for s in sent:
            s.sendall(server.head("/v1/devices?limit=1"))
        answered = select.select(sent, [], [], 20 * PATIENCE)[0]
        status, fields, body = read_answer(answered[0])
        assert status == 503 and fields["retry-after"]
        assert json.loads(body)["type"] == "urn:coldfleet:problem:overloaded"
        locked()
        # A segment is two statements, and 512 may be in flight: these were queued, and are answered once PostgreSQL can.
        statuses = [read_answer(s)[0] for s in sent if s is not answered[0]]
    assert statuses.count(200) == 256 and set(statuses) == {200, 503}


# PostgreSQL, clients and the process itself come and go


def test_client_that_hangs_up_while_its_answer_is_made_harms_nobody(stack, api, locked):
    server = api(connections=1)
    locked()
    for _ in range(5):
        with server.connect() as s:
            s.sendall(server.head("/v1/devices"))
            wait_for(lambda: waiting(stack) > 0, 10, "the request to reach PostgreSQL")
    locked()
    assert server.status("/v1/devices") == 200


def test_stop_waits_for_answers_that_nobody_will_read(stack, api, locked):
    server = api()
    locked()
    with server.connect() as s:
        s.sendall(server.head("/v1/devices"))
        wait_for(lambda: waiting(stack) > 0, 10, "the request to reach PostgreSQL")
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # the close below is a reset
    server.process.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        server.process.wait(0.3)
    locked()
    assert server.process.wait(20 * PATIENCE) == 0


def test_graceful_stop_finishes_what_is_in_flight(stack, api, locked):
    server = api()
    locked()
    with server.connect() as s, server.connect() as idle:
        s.sendall(server.head("/v1/devices?limit=1"))
        wait_for(lambda: waiting(stack) > 0, 10, "the request to reach PostgreSQL")
        server.process.send_signal(signal.SIGTERM)
        assert idle.recv(1) == b"", "an idle connection ends soon"
        with pytest.raises(OSError):
            server.connect()
        locked()
        status, fields, _ = read_answer(s)
        assert status == 200 and fields["connection"] == "close"
    assert server.process.wait(20 * PATIENCE) == 0


def test_without_postgresql_503_comes_at_once_and_service_returns_by_itself(own_stack):
    stack = own_stack
    assert stack.rest("/v1/devices").status == 200
    stack.stop("postgres")
    wait_for(lambda: stack.rest("/v1/devices").status == 503, 10, "the API to see that PostgreSQL is gone")
    begin = time.monotonic()
    answer = stack.rest("/v1/devices")
    assert time.monotonic() - begin < 0.5 * PATIENCE
    assert answer.status == 503 and "retry-after" in answer.headers
    assert answer.json["type"] == "urn:coldfleet:problem:database-unavailable"
    assert stack.rest("/readyz").status == 503 and stack.rest("/healthz").status == 200
    pid = stack.pid("api")
    stack.start("postgres")
    wait_for(lambda: stack.rest("/v1/devices").status == 200, 30, "the API to find PostgreSQL again")
    assert stack.pid("api") == pid


def test_clear_text_beyond_this_machine_is_refused_at_start(stack):
    for where in ("0.0.0.0:8470", "[::]:8470", "10.1.2.3:8470", "8470", "unix:relative"):
        run = subprocess.run([BIN / "coldfleet-api", "--config", stack.dir / "coldfleet.ini", "--set",
                              f"api.listen={where}", "--set", "api.monitor="], capture_output=True, text=True, timeout=20)
        assert run.returncode == 1 and "listen: " in run.stderr, run.stderr


# What is served


def test_every_answer_carries_id_no_store_and_nosniff(stack):
    for path, token, status in (("/healthz", None, 200), ("/v1/devices", "VIEWER", 200), ("/v1/devices", None, 401),
                                ("/v1/nope", "VIEWER", 404), ("/v1/devices?limit=0", "VIEWER", 422)):
        answer = stack.rest(path, token, headers={"X-Request-Id": "from.client-1"})
        assert answer.status == status
        assert answer.headers["x-request-id"] == "from.client-1"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        if status >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json["status"] == status and answer.json["instance"] == "urn:coldfleet:request:from.client-1"
    assert "www-authenticate" in stack.rest("/v1/devices", None).headers
    assert stack.rest("/healthz", headers={"X-Request-Id": "x\"y"}).headers["x-request-id"] != "x\"y"


def test_tokens_of_any_role_read_and_bad_ones_do_not(stack):
    for role in ("VIEWER", "OPERATOR", "APPROVER", "AUDITOR", "ADMIN"):
        assert stack.rest("/v1/devices", role).status == 200
    good = stack.env["COLDFLEET_TOKEN_VIEWER"]
    for token in (good[:-1], good + "A", good.upper(), "cf_" + "A" * 43):
        assert stack.rest("/v1/devices", None, headers={"Authorization": f"Bearer {token}"}).status == 401
    for field in (good, f"Basic {good}", "Bearer", "Bearer ", f"Bearer {good} {good}", f"bearer\t{good}"):
        assert stack.rest("/v1/devices", None, headers={"Authorization": field}).status == 401


def test_revoked_token_ends_at_once(stack):
    token = stack.value("SELECT fleet.create_token('short', 'viewer')")
    assert stack.rest("/v1/devices", token).status == 200
    stack.sql("UPDATE fleet.token SET revoked_at = now() WHERE name = 'short'")
    assert stack.rest("/v1/devices", token).status == 401


def test_readings_of_a_device_are_walked_once_each_in_order_by_cursor(stack):
    start = datetime.now(timezone.utc).replace(microsecond=0) - timedelta(days=10)
    stack.sql("SELECT fleet.register_device('walk-1', 'Acme', 'CT-1', 'B')")
    stack.sql("SELECT telemetry.ensure_partition(%s + n * interval '1 day') FROM generate_series(0, 10) AS n", [start])
    stack.sql("""INSERT INTO telemetry.reading (ts, received_at, device_id, seq, epoch, probe, temperature_c)
                 SELECT %s + (n / 2) * interval '1 hour', now(), device_id, n, 0, n %% 2, n / 10.0
                 FROM generate_series(0, 399) AS n, fleet.device WHERE serial = 'walk-1'""", [start])
    since, until = start + timedelta(hours=10), start + timedelta(hours=150)
    bounds = f"from={since:%Y-%m-%dT%H:%M:%SZ}&to={until:%Y-%m-%dT%H:%M:%S}%2B00:00"
    seen, cursor = [], ""
    while True:
        page = stack.rest(f"/v1/devices/walk-1/readings?{bounds}&limit=37{cursor}").json
        assert len(page["items"]) <= 37
        seen += [item["seq"] for item in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert seen == list(range(20, 300))
    first = stack.rest(f"/v1/devices/walk-1/readings?{bounds}&limit=1").json["items"][0]
    assert first["ts"] == f"{since:%Y-%m-%dT%H:%M:%SZ}" and first["temperature_c"] == 2


def test_devices_list_shows_each_device_once_and_one_device_the_same(stack):
    serials, cursor = [], ""
    while True:
        page = stack.rest(f"/v1/devices?limit=2{cursor}").json
        serials += [item["serial"] for item in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert serials == [row[0] for row in stack.sql("SELECT serial FROM fleet.device ORDER BY serial")]
    one = stack.rest(f"/v1/devices/{serials[0]}").json
    assert one["serial"] == serials[0] and {"model", "module", "sim", "latest", "created_at"} <= one.keys()


def test_cursor_that_was_changed_or_belongs_elsewhere_is_400(stack):
    cursor = stack.rest("/v1/devices?limit=1").json["next"]
    assert stack.rest(f"/v1/devices?limit=1&cursor={cursor}").status == 200
    flipped = cursor[:-1] + ("A" if cursor[-1] != "A" else "B")
    for path in (f"/v1/devices?cursor={flipped}", f"/v1/devices?cursor={cursor}A",
                 f"/v1/devices/spare-01/readings?cursor={cursor}"):
        answer = stack.rest(path)
        assert answer.status == 400 and "cursor: expected" in answer.json["detail"], answer


def test_serial_with_a_quote_or_a_statement_in_it_is_refused_not_run(stack):
    for serial in ("'", "x'%3B%20DROP%20TABLE%20fleet.device%3B--", "%00", "%ff", "a%2Fb", "a" * 65):
        assert stack.rest(f"/v1/devices/{serial}").status in (400, 422)
    assert stack.rest("/v1/devices").status == 200
