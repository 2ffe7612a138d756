# SPDX-License-Identifier: Apache-2.0
"""Alarms reach whoever is to know: webhooks that answer, that fail, that ask to be left alone, that are where none may be,
and the process killed in the middle; the broker; the stream. The receivers are real HTTP servers of the test's own."""

import base64
import hashlib
import hmac
import http.server
import itertools
import json
import subprocess
import threading
import time

import pytest

from device import Device
from stack import BIN, PATIENCE, wait_for

keys = itertools.count(1)


class Receiver:
    """An HTTP server on a loopback address that keeps what it is told and answers as `answer` says."""

    def __init__(self, address="127.0.0.1"):
        self.got = []
        self.answer = lambda request: (204, {})
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                request = {"headers": dict(self.headers), "body": body, "event": json.loads(body), "at": time.monotonic(), "path": self.path}
                receiver.got.append(request)
                status, headers = receiver.answer(request)
                try:
                    self.send_response(status)
                    for name, value in {"Content-Length": "0", **headers}.items():
                        self.send_header(name, value)
                    self.end_headers()
                except BrokenPipeError:
                    pass

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer((address, 0), Handler)
        self.url = f"http://{address}:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def of(self, alarm):
        return [r for r in self.got if r["event"]["data"]["id"] == alarm]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver():
    r = Receiver()
    yield r
    r.close()


@pytest.fixture(scope="module")
def notified(stack):
    """The stack, whose coldfleet-notify may speak to 127.0.0.1 in clear text and is soon tired of waiting."""
    ini = stack.dir / "coldfleet.ini"
    ini.write_text(ini.read_text().replace("[notify]\n", f"[notify]\nallow = 127.0.0.1\nallow_http = yes\ntimeout = {PATIENCE}s\nlook_every = 0.2\n"))
    stack.restart("notify")
    return stack


@pytest.fixture
def hook(notified, receiver):
    """A webhook for each alarm from now on, gone after the test."""
    made = {}

    def make(url=None, kinds=None):
        number, secret = notified.sql("SELECT * FROM coldchain.webhook_make('test', %s, %s, NULL)", [url or receiver.url, kinds])[0]
        made[number] = secret
        return number, secret

    yield make
    for number in made:
        notified.sql("DELETE FROM coldchain.webhook WHERE webhook_id = %s", [number])


def alarm(stack, kind="tamper", serial="spare-01"):
    return stack.value("SELECT coldchain.alarm_raise(%s, device_id, NULL, NULL, %s, now(), false, '{\"said\": \"test\"}') FROM fleet.device WHERE serial = %s",
                       [kind, f"test-{next(keys)}", serial])


def delivery(stack, number, raised):
    """state, attempts, last_status, last_error, seconds until the next attempt"""
    rows = stack.sql("SELECT d.state, d.attempts, d.last_status, d.last_error, extract(epoch FROM d.next_at - now())::float, d.delivery_id FROM coldchain.delivery AS d "
                     "JOIN coldchain.notice AS n USING (notice_id) WHERE d.webhook_id = %s AND n.alarm_id = %s AND n.type = 'alarm.raised'", [number, raised])
    return rows[0] if rows else None


def signature(secret, request):
    key = base64.b64decode(secret.removeprefix("whsec_"))
    h = request["headers"]
    said = f"{h['webhook-id']}.{h['webhook-timestamp']}.".encode() + request["body"]
    return "v1," + base64.b64encode(hmac.digest(key, said, hashlib.sha256)).decode()


def test_an_alarm_reaches_its_webhook_as_a_signed_cloud_event(notified, receiver, hook):
    number, secret = hook()
    raised = alarm(notified)
    request = wait_for(lambda: receiver.of(raised), 20, "the webhook to be told")[0]
    event = request["event"]
    assert {k: event[k] for k in ("specversion", "source", "type", "subject", "datacontenttype")} == {
        "specversion": "1.0", "source": "coldfleet", "type": "coldfleet.alarm.raised", "subject": "spare-01", "datacontenttype": "application/json"}
    assert event["data"]["kind"] == "tamper" and event["data"]["body"] == {"said": "test"} and event["data"]["state"] == "raised"
    assert request["headers"]["Content-Type"].startswith("application/cloudevents+json")
    assert request["headers"]["webhook-id"] == event["id"]
    assert abs(int(request["headers"]["webhook-timestamp"]) - time.time()) < 60
    assert hmac.compare_digest(request["headers"]["webhook-signature"], signature(secret, request))
    wait_for(lambda: delivery(notified, number, raised)[:3] == ("delivered", 1, 204), 20, "the delivery to be noted")


def test_only_what_a_webhook_wants_is_told(notified, receiver, hook):
    hook(kinds=["door"])
    unwanted, wanted = alarm(notified), alarm(notified, "door")
    wait_for(lambda: receiver.of(wanted), 20, "the webhook to be told")
    assert not receiver.of(unwanted)


def test_a_failed_delivery_is_tried_again_with_the_same_id(notified, receiver, hook):
    number, secret = hook()
    answers = iter([500, 302, 404])
    receiver.answer = lambda request: (next(answers, 200), {"Location": "http://127.0.0.1:9/"})
    raised = alarm(notified)
    wait_for(lambda: len(receiver.of(raised)) == 4, 40, "four attempts")
    assert len({r["event"]["id"] for r in receiver.of(raised)}) == 1
    assert all(signature(secret, r) == r["headers"]["webhook-signature"] for r in receiver.of(raised))
    wait_for(lambda: delivery(notified, number, raised)[:3] == ("delivered", 4, 200), 20, "the delivery to be noted")


def test_retry_after_is_honoured(notified, receiver, hook):
    number, _ = hook()
    receiver.answer = lambda request: (429, {"Retry-After": "3"}) if len(receiver.got) == 1 else (200, {})
    raised = alarm(notified)
    wait_for(lambda: len(receiver.of(raised)) == 2, 40, "another attempt")
    first, second = receiver.of(raised)
    assert second["at"] - first["at"] >= 2.9
    receiver.answer = lambda request: (503, {"Retry-After": "7000"})
    other, later = alarm(notified), alarm(notified)
    wait_for(lambda: receiver.of(other) or receiver.of(later), 20, "another attempt")
    state = wait_for(lambda: next((d for d in (delivery(notified, number, other), delivery(notified, number, later)) if d and d[2] == 503), None), 20, "the answer to be noted")
    assert state[0] == "waiting" and 6000 < state[4] <= 7000


def test_what_is_given_up_is_dead_until_it_is_sent_again(notified, receiver, hook):
    number, _ = hook()
    receiver.answer = lambda request: (410, {})
    raised = alarm(notified)
    dead = wait_for(lambda: (lambda d: d and d[0] == "dead" and d)(delivery(notified, number, raised)), 20, "it to be given up")
    assert dead[1:4] == (1, 410, "the answer is 410, expected 2xx")
    receiver.answer = lambda request: (200, {})
    assert notified.value("SELECT coldchain.delivery_replay(%s)", [dead[5]])
    wait_for(lambda: delivery(notified, number, raised)[0] == "delivered", 20, "it to be delivered")
    assert len({r["event"]["id"] for r in receiver.of(raised)}) == 1 and len(receiver.of(raised)) == 2


def test_after_a_day_it_is_given_up(notified, receiver, hook):
    number, _ = hook()
    receiver.answer = lambda request: (500, {})
    raised = alarm(notified)
    wait_for(lambda: receiver.of(raised), 20, "the first attempt")
    notified.sql("UPDATE coldchain.delivery SET give_up_at = now() WHERE webhook_id = %s", [number])
    dead = wait_for(lambda: (lambda d: d and d[0] == "dead" and d)(delivery(notified, number, raised)), 40, "it to be given up")
    assert dead[2] == 500 and dead[1] >= 2


@pytest.mark.parametrize("host", ["127.0.0.2", "2130706434", "[::ffff:127.0.0.2]", "0", "[::1]", "169.254.169.254", "10.0.0.1"])
def test_a_webhook_at_a_private_address_is_refused_unless_it_is_allowed(notified, receiver, hook, host):
    forbidden = Receiver("127.0.0.2")
    number, _ = hook(f"http://{host}:{forbidden.server.server_port}/hook")
    raised = alarm(notified)
    dead = wait_for(lambda: (lambda d: d and d[0] == "dead" and d)(delivery(notified, number, raised)), 20, "it to be given up")
    assert dead[2:4] == (None, "its address is not allowed") and not forbidden.got
    forbidden.close()


def test_a_redirect_leads_nowhere(notified, receiver, hook):
    forbidden = Receiver("127.0.0.2")
    hook()
    receiver.answer = lambda request: (307, {"Location": forbidden.url})
    raised = alarm(notified)
    wait_for(lambda: len(receiver.of(raised)) >= 2, 20, "two attempts")
    assert not forbidden.got
    forbidden.close()


def test_killed_in_the_middle_it_tells_again_with_the_same_id(notified, receiver, hook):
    number, _ = hook()
    reached, go = threading.Event(), threading.Event()

    def hold(request):
        reached.set()
        go.wait(60 * PATIENCE)
        return 200, {}

    receiver.answer = hold
    raised = alarm(notified)
    assert reached.wait(20 * PATIENCE)
    notified.kill("notify")
    receiver.answer = lambda request: (200, {})
    go.set()
    assert delivery(notified, number, raised)[0] == "waiting"
    notified.start("notify")
    wait_for(lambda: delivery(notified, number, raised)[0] == "delivered", 40, "it to be delivered")
    assert len(receiver.of(raised)) >= 2 and len({r["event"]["id"] for r in receiver.of(raised)}) == 1


def test_one_that_does_not_answer_holds_up_nobody_else(notified, receiver, hook):
    deaf, go = Receiver(), threading.Event()
    deaf.answer = lambda request: (go.wait(60 * PATIENCE), (200, {}))[1]
    hook(deaf.url)
    hook()
    raised = [alarm(notified) for _ in range(20)]
    wait_for(lambda: all(receiver.of(one) for one in raised), 20, "the other webhook to be told of all")
    go.set()
    deaf.close()


def test_alarms_are_on_the_broker_and_on_the_stream(notified):
    password = (notified.dir / "secrets" / "mqtt-alarms").read_text().strip()
    run = next(line.split("= ")[1] for line in (notified.dir / "coldfleet.ini").read_text().splitlines() if "mqtt_host" in line)
    heard = subprocess.Popen(["mosquitto_sub", "--unix", run, "-u", "@alarms", "-P", password, "-V", "5", "-q", "1", "-t", "cf/v1/fleet/alarm/#", "-F",
                              "%t %q %p", "-C", "1", "-W", str(60 * PATIENCE)], stdout=subprocess.PIPE, text=True)
    raised = []
    # It may not have subscribed yet when the first ones are published.
    wait_for(lambda: raised.append(alarm(notified, "door", "spare-02")) or heard.poll() is not None, 40, "the broker to tell")
    topic, qos, payload = heard.stdout.read().split(" ", 2)
    event = json.loads(payload)
    assert (topic, qos, event["type"]) == ("cf/v1/fleet/alarm/door/spare-02", "1", "coldfleet.alarm.raised") and event["data"]["id"] in raised
    raised = raised[0]
    told = notified.sql("SELECT body FROM fleet.event WHERE type = 'alarm' AND (body #>> '{alarm,id}')::bigint = %s", [raised])
    assert told[0][0]["change"] == "raised"
    wait_for(lambda: notified.value("SELECT bool_and(published) FROM coldchain.notice"), 20, "all to be published")


def test_it_stops_when_asked_and_without_broker_webhooks_are_still_told(notified, receiver, hook):
    hook()
    notified.stop("broker")
    raised = alarm(notified)
    wait_for(lambda: receiver.of(raised), 20, "the webhook to be told")
    assert not notified.value("SELECT bool_and(published) FROM coldchain.notice")
    notified.start("broker")
    wait_for(lambda: notified.value("SELECT bool_and(published) FROM coldchain.notice"), 60, "all to be published")
    notified.restart("notify")


def test_its_configuration_is_checked(notified, tmp_path):
    for line, complaint in (("allow = 10.0.0.0/33", "notify.allow: 10.0.0.0/33: expected an address or a network"),
                            ("mqtt_password_file = /nowhere", "notify.mqtt_password_file: /nowhere")):
        ini = tmp_path / "wrong.ini"
        ini.write_text(f"[notify]\n{line}\n")
        run = subprocess.run([BIN / "coldfleet-notify", "--config", ini], capture_output=True, text=True, timeout=30 * PATIENCE)
        assert run.returncode == 2 and complaint in run.stderr, run.stderr


def test_a_tracker_that_was_tampered_with_alarms_within_five_seconds(notified, receiver, hook):
    hook(kinds=["tamper"])
    now = time.time()
    with Device(notified, "spare-03") as device:
        sent = time.monotonic()
        device.send([{"bt": now - 2, "n": "temp", "u": "Cel", "v": 5}, {"n": "tamper", "vb": False}, {"n": "tamper", "vb": True, "t": 1}])
        told = wait_for(lambda: next((r for r in receiver.got if r["event"]["subject"] == "spare-03"), None), 20, "the webhook to be told")
    print(f"tamper: published -> webhook {told['at'] - sent:.3f} s")
    assert told["at"] - sent < 5 * PATIENCE and told["event"]["data"]["kind"] == "tamper"
