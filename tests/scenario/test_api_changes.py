# SPDX-License-Identifier: Apache-2.0
"""REST where two clients meet: edits of one device, requests sent twice, tokens that end, and long answers with slow readers."""

import json
import re
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stack import PATIENCE, wait_for
from test_api import api, read_all  # noqa: F401  (a fixture)

MODEL = {"manufacturer": "Acme", "name": "CT-1"}


def device(stack, serial, **more):
    answer = stack.rest("/v1/devices", "OPERATOR", "POST", {"serial": serial, "model": MODEL, **more})
    assert answer.status == 201, answer
    return answer


def held_up(stack, statement, count, act):
    """Runs act() `count` times at once, all of them waiting for a lock that the statement takes; their results."""
    with stack.connect() as db, ThreadPoolExecutor(count) as pool:
        db.autocommit = False
        db.execute(statement)
        calls = [pool.submit(act) for _ in range(count)]
        wait_for(lambda: stack.value("SELECT count(*) FROM pg_stat_activity WHERE usename = 'coldfleet_api' "
                                     "AND wait_event_type = 'Lock'") == count, 20, f"{count} calls to wait")
        db.rollback()
        return [call.result() for call in calls]


# Editing


def test_of_two_edits_from_one_etag_one_is_made_and_one_is_told(stack):
    tag = device(stack, "race-1").headers["etag"]
    answers = held_up(stack, "SELECT FROM fleet.device WHERE serial = 'race-1' FOR UPDATE", 2,
                      lambda: stack.rest("/v1/devices/race-1", "OPERATOR", "PATCH", {"hardware_revision": "C"},
                                         {"If-Match": tag}))
    assert sorted(a.status for a in answers) == [200, 412]
    refused = next(a for a in answers if a.status == 412)
    assert refused.json["type"] == "urn:coldfleet:problem:precondition-failed"
    now = stack.rest("/v1/devices/race-1")
    assert now.headers["etag"] == next(a for a in answers if a.status == 200).headers["etag"] != tag
    assert stack.value("SELECT count(*) FROM fleet.history JOIN fleet.device USING (device_id) "
                       "WHERE serial = 'race-1' AND field = 'hardware_revision'") == 1


def test_an_edit_says_what_it_was_made_from(stack):
    device(stack, "edit-1")
    for headers, status in (({}, 428), ({"If-Match": "\"0\""}, 412), ({"If-Match": "*"}, 200), ({"If-Match": "x"}, 400)):
        answer = stack.rest("/v1/devices/edit-1", "OPERATOR", "PATCH", {"state": "disabled"}, headers)
        assert answer.status == status, answer


def test_what_has_not_changed_is_not_sent_again(stack):
    tag = device(stack, "same-1").headers["etag"]
    answer = stack.rest("/v1/devices/same-1", headers={"If-None-Match": f"\"x\", {tag}"})
    assert answer.status == 304 and answer.body == b"" and answer.headers["etag"] == tag
    stack.rest("/v1/devices/same-1", "OPERATOR", "PATCH", {"state": "disabled", "reason": "test"}, {"If-Match": tag})
    assert stack.rest("/v1/devices/same-1", headers={"If-None-Match": tag}).status == 200
    assert stack.sql("SELECT actor, reason FROM fleet.history JOIN fleet.device USING (device_id) WHERE serial = 'same-1' "
                     "AND field = 'state' AND new = '\"disabled\"'") == [("demo operator", "test")]


def test_a_body_that_is_not_what_the_route_takes_is_refused_in_words(stack):
    for body, kind, status, words in (
            ({"serial": "x", "model": MODEL, "colour": 1}, None, 422, "colour: unknown field, expected one of serial, model"),
            ({"model": MODEL}, None, 422, "serial: expected it"),
            ({"serial": "x", "model": {"name": "y"}}, None, 422, "model.manufacturer: expected it"),
            ({"serial": "a/b", "model": MODEL}, None, 422, "serial: expected 1 to 64"),
            ("{", "application/json", 400, "body: line 1"),
            ("{\"serial\":\"x\",\"serial\":\"y\"}", "application/json", 400, "duplicate"),
            ("", "application/json", 400, "body: expected a JSON object"),
            ("serial=x", "application/x-www-form-urlencoded", 415, "Content-Type: expected application/json")):
        answer = stack.rest("/v1/devices", "OPERATOR", "POST", body, {"Content-Type": kind} if kind else None)
        assert answer.status == status and words in answer.json["detail"], answer
    assert stack.rest("/v1/devices", "VIEWER", "POST", {"serial": "x", "model": MODEL}).status == 403


def test_a_decommissioned_device_stays_so_and_its_readings_too(stack):
    device(stack, "gone-1")
    answer = stack.rest("/v1/devices/gone-1/decommission", "OPERATOR", "POST", {"reason": "fell into the sea"})
    assert answer.status == 200 and answer.json["state"] == "decommissioned"
    assert stack.rest("/v1/devices/gone-1/decommission", "OPERATOR", "POST", {"reason": "again"}).status == 409
    assert stack.rest("/v1/devices/gone-1", "OPERATOR", "PATCH", {"state": "active"}, {"If-Match": "*"}).status == 409
    assert stack.rest("/v1/devices/gone-1/readings").status == 200


# Sent twice


def test_parallel_requests_with_one_idempotency_key_have_one_effect_and_one_answer(stack):
    answers = held_up(stack, "LOCK TABLE api.idempotency_key IN EXCLUSIVE MODE", 3,
                      lambda: stack.rest("/v1/devices", "OPERATOR", "POST", {"serial": "twice-1", "model": MODEL},
                                         {"Idempotency-Key": "one"}))
    assert {(a.status, a.body, a.headers["etag"], a.headers["location"]) for a in answers} == {
        (201, answers[0].body, answers[0].headers["etag"], "/v1/devices/twice-1")}
    assert sum("idempotency-replayed" in a.headers for a in answers) == 2
    assert stack.value("SELECT count(*) FROM fleet.device WHERE serial = 'twice-1'") == 1
    other = stack.rest("/v1/devices", "OPERATOR", "POST", {"serial": "twice-2", "model": MODEL}, {"Idempotency-Key": "one"})
    assert other.status == 422 and "Idempotency-Key" in other.json["detail"]


def test_a_refused_request_leaves_its_key_free(stack):
    imei = {"imei": "490154203237518"}
    device(stack, "holder-1", module=imei)

    def ask():
        return stack.rest("/v1/devices", "OPERATOR", "POST", {"serial": "free-1", "model": MODEL, "module": imei},
                          {"Idempotency-Key": "two"}).status

    assert ask() == 409
    assert stack.rest("/v1/devices/holder-1", "OPERATOR", "PATCH", {"module": None}, {"If-Match": "*"}).status == 200
    assert ask() == 201


# Tokens


def test_a_token_is_shown_once_and_ends_when_revoked(stack):
    ask = {"name": "partner", "role": "viewer", "reason": "trial"}
    made = stack.rest("/v1/tokens", "ADMIN", "POST", ask, {"Idempotency-Key": "t"})
    again = stack.rest("/v1/tokens", "ADMIN", "POST", ask, {"Idempotency-Key": "t"})
    token = made.json["token"]
    assert made.status == again.status == 201 and again.json == {**made.json, "token": None}
    assert stack.rest("/v1/devices", token).status == 200
    listed = stack.rest("/v1/tokens?limit=1000", "ADMIN")
    assert token.encode() not in listed.body and made.json["id"] in [t["id"] for t in listed.json["items"]]
    gone = stack.rest(f"/v1/tokens/{made.json['id']}?reason=over", "ADMIN", "DELETE")
    assert gone.status == 204 and gone.body == b"" and "content-length" not in gone.headers
    assert stack.rest("/v1/devices", token).status == 401
    assert stack.rest("/v1/tokens", "OPERATOR").status == 403
    assert not stack.value("SELECT bool_or(answer LIKE '%%cf\\_%%') FROM api.idempotency_key")


# Quarantine


def quarantined(stack, serial, payload, reason="unknown-device", behind="0"):
    stack.sql("SELECT telemetry.quarantine_store(ARRAY[NULL::int], ARRAY[%s], ARRAY[%s::bytea], NULL, ARRAY[now() - %s::interval], "
              "ARRAY[%s], ARRAY['by a test'])", [f"cf/v1/{serial}/telemetry", payload, behind, reason])
    return stack.value("SELECT id FROM telemetry.quarantine WHERE topic = %s", [f"cf/v1/{serial}/telemetry"])


def test_a_quarantined_message_is_stored_by_a_replay_once_its_cause_is_gone(stack):
    payload = json.dumps([{"bt": int(time.time()) - 60, "n": "seq", "v": 0}, {"n": "temp", "v": 4.5}]).encode()
    message = quarantined(stack, "replay-1", payload)
    broken = quarantined(stack, "replay-2", b"[")
    for serial in ("replay-1", "replay-2"):
        device(stack, serial)
    for number in (message, broken):
        answer = stack.rest(f"/v1/quarantine/{number}:replay", "OPERATOR", "POST")
        assert answer.status == 202 and answer.headers["location"] == f"/v1/quarantine/{number}"
    for number in (message, broken):
        wait_for(lambda n=number: stack.rest(f"/v1/quarantine/{n}").json["replayed_at"], 20, "the message to be decoded anew")
    assert dict(stack.sql("SELECT quarantine_id, outcome FROM telemetry.replay")) == {message: "stored", broken: "syntax"}
    readings = stack.rest("/v1/devices/replay-1/readings").json["items"]
    assert [r["temperature_c"] for r in readings] == [4.5]
    again = stack.rest(f"/v1/quarantine/{broken}").json
    assert again["seen"] == 1 and again["payload_base64"] == "Ww=="
    assert stack.rest(f"/v1/quarantine/{message}:replay", "OPERATOR", "POST").status == 202
    wait_for(lambda: stack.value("SELECT bool_and(outcome IS NOT NULL) FROM telemetry.replay"), 20, "the second time")
    assert len(stack.rest("/v1/devices/replay-1/readings").json["items"]) == 1, "twice is once"
    assert stack.rest("/v1/quarantine/999999:replay", "OPERATOR", "POST").status == 404
    assert stack.rest(f"/v1/quarantine/{message}:replay", "VIEWER", "POST").status == 403


def test_what_came_while_the_clock_of_ingest_was_behind_is_stored_by_a_replay_and_what_is_of_the_future_is_not(stack):
    numbers = {}
    for serial, ahead in (("replay-3", -60), ("replay-4", 3600)):
        device(stack, serial)
        payload = json.dumps([{"bt": int(time.time()) + ahead, "n": "seq", "v": 0}, {"n": "temp", "v": 4.5}]).encode()
        numbers[serial] = quarantined(stack, serial, payload, "clock", "2 hours")
        assert stack.rest(f"/v1/quarantine/{numbers[serial]}:replay", "OPERATOR", "POST").status == 202
    outcomes = {"replay-3": "stored", "replay-4": "clock"}
    for serial, number in numbers.items():
        wait_for(lambda n=number: stack.rest(f"/v1/quarantine/{n}").json["replayed_at"], 20, "the message to be decoded anew")
        assert stack.value("SELECT outcome FROM telemetry.replay WHERE quarantine_id = %s", [number]) == outcomes[serial]
    assert [len(stack.rest(f"/v1/devices/{serial}/readings").json["items"]) for serial in numbers] == [1, 0]


# Long answers


@pytest.fixture(scope="module")
def long_device(stack):
    """A device with 200,000 readings, 20 MB of CSV; how many."""
    device(stack, "long-1")
    stack.sql("SELECT telemetry.ensure_partition(now() - n * interval '1 day') FROM generate_series(0, 75, 3) AS n")
    stack.sql("""INSERT INTO telemetry.reading (ts, received_at, device_id, seq, epoch, probe, temperature_c, humidity_pct)
                 SELECT date_trunc('second', now()) - n * interval '30 s', now(), device_id, 200000 - n, 0, 0, n %% 90 / 10.0, 50
                 FROM generate_series(1, 200000) AS n, fleet.device WHERE serial = 'long-1'""".replace("%%", "%"))
    stack.sql("VACUUM ANALYZE telemetry.measurement")
    return 200000


def asked(server, path="/v1/devices/long-1/readings?format=csv"):
    s = server.connect()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
    s.sendall(server.head(path, "Connection: close"))
    return s


def lines(answer):
    """The body of a chunked answer that ended as it should."""
    head, _, rest = answer.partition(b"\r\n\r\n")
    body = b""
    while True:
        size, _, rest = rest.partition(b"\r\n")
        if int(size, 16) == 0:
            return body.splitlines()
        body, rest = body + rest[:int(size, 16)], rest[int(size, 16) + 2:]


def test_every_reading_comes_once_and_in_order_in_every_form(api, long_device):
    server = api()
    csv = lines(read_all(asked(server)))
    assert csv[0].startswith(b"ts,received_at,probe,epoch,seq,") and len(csv) == long_device + 1
    assert [int(line.split(b",")[4]) for line in csv[1:]] == list(range(long_device))
    ndjson = lines(read_all(asked(server, "/v1/devices/long-1/readings?format=ndjson")))
    assert len(ndjson) == long_device and json.loads(ndjson[-1])["seq"] == long_device - 1
    buckets = lines(read_all(asked(server, "/v1/devices/long-1/readings?format=ndjson&bucket=1h")))
    assert sum(json.loads(line)["count"] for line in buckets) == long_device


def rss(process):
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())[1]) / 1024


@pytest.mark.release_only
def test_slow_readers_hold_neither_memory_nor_the_database(stack, api, long_device):
    server = api(max_streams=200, connections=2)
    slow = [asked(server) for _ in range(150)]
    for s in slow:
        assert s.recv(100).startswith(b"HTTP/1.1 200 ")
    assert len(lines(read_all(asked(server)))) == long_device + 1, "who reads is served"
    assert server.status("/v1/devices") == 200
    wait_for(lambda: stack.value("SELECT count(*) FROM pg_stat_activity WHERE usename = 'coldfleet_api' "
                                 "AND (backend_xmin IS NOT NULL OR state <> 'idle')") == 0, 20, "no snapshot to be held")
    print(f"RSS with 150 slow readers: {rss(server.process):.1f} MiB")
    assert rss(server.process) < 128
    for s in slow:
        s.close()
    assert server.status("/v1/devices") == 200


def test_more_long_answers_than_allowed_get_503_and_room_comes_back(api, long_device):
    server = api(max_streams=2)
    slow = [asked(server) for _ in range(2)]
    for s in slow:
        assert s.recv(100).startswith(b"HTTP/1.1 200 ")
    assert read_all(asked(server)).startswith(b"HTTP/1.1 503 ")
    for s in slow:
        s.close()
    wait_for(lambda: server.status("/v1/devices/long-1/readings?format=csv&bucket=1d") == 200, 20, "room for a long answer")


def test_reader_that_takes_nothing_is_cut_off(api, long_device):
    server = api(idle_timeout="500ms")

    def sockets():
        return sum(1 for fd in Path(f"/proc/{server.process.pid}/fd").iterdir())

    none = sockets()
    s = asked(server)
    assert s.recv(100).startswith(b"HTTP/1.1 200 ")
    wait_for(lambda: sockets() <= none, 20, "the reader to be cut off")
    assert not read_all(s).endswith(b"0\r\n\r\n"), "a part must not look like the whole"


def test_answer_that_fails_in_the_middle_never_ends_cleanly(stack, api, long_device):
    server = api()
    server.token = stack.value("SELECT fleet.create_token('midway', 'viewer')")
    s = asked(server)
    assert s.recv(100).startswith(b"HTTP/1.1 200 ")
    stack.sql("UPDATE fleet.token SET revoked_at = now() WHERE name = 'midway'")
    answer = read_all(s)
    assert len(answer) < 15_000_000 and not answer.endswith(b"0\r\n\r\n")


def test_parallel_long_answers_are_all_whole(api, long_device):
    server = api(connections=2)
    found = []
    threads = [threading.Thread(target=lambda: found.append(len(lines(read_all(asked(server)))))) for _ in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(120 * PATIENCE)
    assert found == [long_device + 1] * 6


def test_head_of_a_long_answer_has_no_body_and_the_connection_lives(api, long_device):
    server = api()
    path = "/v1/devices/long-1/readings?format=csv"
    answer = server.ask(server.head(path, method="HEAD") + server.head("/healthz"))
    assert answer.count(b"HTTP/1.1 200 ") == 2 and b"ts,received_at" not in answer


def test_form_is_chosen_by_accept_and_by_format(api, long_device):
    server = api()
    for field, kind in (("Accept: text/csv", b"text/csv"), ("Accept: application/x-ndjson, */*", b"application/x-ndjson"),
                        ("Accept: */*", b"application/json")):
        answer = server.ask(server.head("/v1/devices/long-1/readings?bucket=1d", field))
        assert b"Content-Type: " + kind in answer, answer[:300]
    assert server.status("/v1/devices/long-1/readings?format=csv&limit=3") == 422
    assert server.status("/v1/devices/nobody/readings?format=csv") == 404


def test_stop_lets_a_long_answer_end_and_does_not_wait_for_ever(api, long_device):
    server = api()
    with asked(server) as slow, asked(server) as reader:
        for s in (slow, reader):
            assert s.recv(1, socket.MSG_PEEK) == b"H"
        server.process.send_signal(signal.SIGTERM)
        assert read_all(reader).endswith(b"0\r\n\r\n")
        assert server.process.wait(20 * PATIENCE) == 0
        assert not read_all(slow).endswith(b"0\r\n\r\n")
