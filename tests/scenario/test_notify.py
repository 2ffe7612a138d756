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

from cce_interop import checked
from device import Device
from stack import BIN, PATIENCE, wait_for

keys = itertools.count(1)
began = int(time.time())


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
    ini.write_text(ini.read_text().replace("[notify]\n", f"[notify]\nallow = 127.0.0.1\nallow_http = yes\ntimeout = {PATIENCE}s\nlook_every = 0.2\npush_every = 0.3\n"))
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


PRIVATE = pytest.mark.parametrize("host", ["127.0.0.2", "2130706434", "[::ffff:127.0.0.2]", "0", "[::1]", "169.254.169.254", "10.0.0.1"])


@PRIVATE
def test_a_webhook_at_a_private_address_is_not_made_unless_it_is_allowed(notified, host):
    wait_for(lambda: notified.value("SELECT allowed = '{127.0.0.1}' FROM coldchain.webhook_guard"), 20, "coldfleet-notify to say what it allows")
    refused = notified.rest("/v1/webhooks", "ADMIN", "POST", {"description": "x", "url": f"https://{host}:8443/hook"})
    assert refused.status == 422 and refused.json["detail"].startswith(f"url: {host}"), refused
    made = notified.rest("/v1/webhooks", "ADMIN", "POST", {"description": "x", "url": "https://127.0.0.1:8443/hook"})
    assert made.status == 201, "notify.allow names it"
    path = f"/v1/webhooks/{made.json['id']}"
    assert notified.rest(path, "ADMIN", "PATCH", {"url": f"https://{host}/"}, {"If-Match": "*"}).status == 422
    assert notified.rest(path, "ADMIN", "PATCH", {"url": "https://93.184.216.34/"}, {"If-Match": "*"}).status == 200
    assert notified.rest(path, "ADMIN", "DELETE").status == 204


@PRIVATE
def test_a_webhook_at_a_private_address_is_told_nothing_unless_it_is_allowed(notified, receiver, hook, host):
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


def test_a_look_that_took_long_is_followed_by_a_rest_that_keeps_the_five_seconds(notified):
    def looked():
        return notified.value("SELECT looked_at FROM coldchain.watch_state")

    with notified.connect() as db, db.transaction():
        db.execute("LOCK TABLE coldchain.condition IN ACCESS EXCLUSIVE MODE")
        wait_for(lambda: notified.value("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE '%coldchain.watch(%' AND wait_event_type = 'Lock' "
                                        "AND clock_timestamp() - query_start > '0.1 s')"), 20, "a look to take long")
        before = looked()
    long = wait_for(lambda: (lambda at: at != before and at)(looked()), 20, "that look to end")
    after = wait_for(lambda: (lambda at: at != long and at)(looked()), 20, "another look")
    assert 3 <= (after - long).total_seconds() < 5 * PATIENCE


# Transfers of cce-interop: what devices measured, pushed


@pytest.fixture
def push(notified, receiver):
    """A webhook of format cce for the devices of a group of its own, as an administrator makes it; gone after the test."""
    made = []

    def make(*serials, **more):
        group = notified.value("INSERT INTO fleet.device_group (name) VALUES (%s) RETURNING group_id", [f"push-{next(keys)}"])
        notified.sql("INSERT INTO fleet.group_member (group_id, device_id) SELECT %s, device_id FROM fleet.device WHERE serial = ANY (%s)", [group, list(serials)])
        answer = notified.rest("/v1/webhooks", "ADMIN", "POST", {"description": "district", "url": receiver.url, "format": "cce", "credentials": "Bearer hunter2", **more})
        assert answer.status == 201, answer
        notified.sql("UPDATE coldchain.webhook SET groups = %s WHERE webhook_id = %s", [[group], answer.json["id"]])
        made.append(answer.json["id"])
        return answer.json

    yield make
    for number in made:
        notified.sql("DELETE FROM coldchain.webhook WHERE webhook_id = %s", [number])


def measured(notified, serial, first, values, step=60):
    """What a tracker sends, one sample a `step` seconds; the moments that an ABST says."""
    with Device(notified, serial) as device:
        for at in range(0, len(values), 100):
            device.send([{"n": "temp", "u": "Cel", "v": v, "bt": first + step * at, "t": step * n} if n == 0 else {"n": "temp", "u": "Cel", "v": v, "t": step * n}
                         for n, v in enumerate(values[at:at + 100])])
    return {time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(first + step * n)): v for n, v in enumerate(values)}


def pushed(receiver):
    return {r["ABST"]: r["TVC"] for request in receiver.got for report in request["event"]["data"] for r in report["records"]}


def transfers(notified, hook, **query):
    query = "&".join(f"{k}={v}" for k, v in query.items())
    return notified.rest(f"/v1/webhooks/{hook}/deliveries?{query}", "ADMIN").json["items"]


def then():
    """The moment of a first sample, an hour ago or more: so that no test sends what another has sent, each is 500 s before the last one."""
    return began - 3600 - 500 * next(keys)


def test_what_a_tracker_measures_is_pushed_as_a_transfer_of_cce_interop(notified, receiver, push):
    hook = push("spare-04")
    sent = measured(notified, "spare-04", then(), [4, 5, 6])
    wait_for(lambda: pushed(receiver) == sent, 20, "all to be pushed")
    request = receiver.got[0]
    checked(request["event"])
    h, meta = request["headers"], request["event"]["meta"]
    assert (h["Content-Type"], h["Authorization"], h["webhook-id"]) == ("application/json", "Bearer hunter2", meta["transferId"])
    assert hmac.compare_digest(h["webhook-signature"], signature(hook["secret"], request))
    assert (meta["schemaVersion"], meta["transferType"], request["event"]["data"][0]["ESER"]) == ("0.8.1", "rtm", "spare-04")
    done = wait_for(lambda: transfers(notified, hook["id"], state="delivered"), 20, "the delivery to be noted")[0]
    assert (done["type"], done["event"], done["alarm"], done["device"], done["last_status"]) == ("cce.transfer", meta["transferId"], None, "spare-04", 204)
    # What came later and was measured before is pushed too, and what is known already is not news.
    older = measured(notified, "spare-04", then(), [3, 2])
    wait_for(lambda: pushed(receiver) == {**sent, **older}, 20, "what came late to be pushed")
    assert receiver.got[-1]["event"]["data"][0]["records"][0]["TVC"] == 3


def test_nobody_sees_the_credentials_of_a_webhook_nor_has_them_sent_elsewhere(notified, receiver, push):
    hook = push("spare-04")
    path = f"/v1/webhooks/{hook['id']}"
    seen = notified.rest(path, "ADMIN")
    assert seen.json["has_credentials"] is True and b"hunter2" not in seen.body

    def edit(**what):
        return notified.rest(path, "ADMIN", "PATCH", {**what, "reason": "test"}, {"If-Match": notified.rest(path, "ADMIN").headers["etag"]})

    assert edit(description="region").json["has_credentials"] is True
    assert edit(url="https://elsewhere.invalid/").json["has_credentials"] is False
    assert edit(credentials="Bearer hunter2").json["has_credentials"] is True
    assert edit(credentials=None).json["has_credentials"] is False
    assert edit(credentials="Bearer hunter2\r\nX-Evil: 1").status == 422
    assert edit(kinds=["door"]).status == 422
    trail = notified.value("SELECT string_agg(a::text, ' ') FROM audit.entry AS a")
    assert "hunter2" not in trail + notified.log("notify") + notified.log("api") + notified.log("postgres")


@pytest.mark.parametrize("status", [400, 501])
def test_a_transfer_that_is_refused_for_good_is_dead_until_it_is_sent_again(notified, receiver, push, status):
    receiver.answer = lambda request: (status, {})
    hook = push("spare-04")
    sent = measured(notified, "spare-04", then(), [7])
    dead = wait_for(lambda: transfers(notified, hook["id"], state="dead"), 20, "it to be given up")[0]
    assert (dead["attempts"], dead["last_status"], dead["from"] == dead["to"]) == (1, status, False)
    receiver.answer = lambda request: (200, {})
    assert notified.rest(f"/v1/deliveries/{dead['id']}:replay", "ADMIN", "POST").status == 204
    wait_for(lambda: transfers(notified, hook["id"], state="delivered"), 20, "it to be delivered")
    assert [r["headers"]["webhook-id"] for r in receiver.got] == [dead["event"]] * 2 and pushed(receiver) == sent


def test_transfers_go_one_at_a_time_and_a_slow_receiver_of_them_holds_up_no_alarm(notified, receiver, push, hook):
    alarms, go = Receiver(), threading.Event()
    under_way, most = itertools.count(), []

    def hold(request):
        most.append(next(under_way))
        go.wait(60 * PATIENCE)
        return (503, {"Retry-After": "1"}) if len(most) == 1 else (200, {})

    receiver.answer = hold
    slow = push("spare-04", "spare-05")
    hook(alarms.url)
    sent = {"spare-04": measured(notified, "spare-04", then(), [8])}
    wait_for(lambda: receiver.got, 20, "one transfer to be under way")
    sent["spare-05"] = measured(notified, "spare-05", then(), [9])
    wait_for(lambda: len(transfers(notified, slow["id"])) == 2, 20, "another to be due")
    raised = alarm(notified)
    wait_for(lambda: alarms.of(raised), 20, "the alarm to be told")
    assert len(receiver.got) == 1
    go.set()
    wait_for(lambda: len(transfers(notified, slow["id"], state="delivered")) == 2, 40, "both to be delivered")
    assert {r["event"]["data"][0]["ESER"] for r in receiver.got} == set(sent)
    assert next(r for r in receiver.got[1:] if r["headers"]["webhook-id"] == receiver.got[0]["headers"]["webhook-id"])["at"] - receiver.got[0]["at"] >= 1
    alarms.close()


def several(notified, push, count):
    """A webhook for devices that have one new reading each, all of which are to be dealt at once."""
    serials = [f"several-{next(keys)}" for _ in range(count)]
    for serial in serials:
        notified.sql("SELECT fleet.register_device(%s, 'Acme', 'CT', 'B')", [serial])
    hook, at = push(*serials), then()
    notified.sql("SELECT telemetry.ensure_partition(to_timestamp(%s))", [at])
    with notified.connect() as db, db.transaction():
        db.execute("INSERT INTO telemetry.reading (ts, received_at, device_id, seq, epoch, probe, temperature_c) SELECT to_timestamp(%s), now(), device_id, 0, 0, 0, "
                   "substr(serial, 9)::int %% 50 FROM fleet.device WHERE serial = ANY (%s)", [at, serials])
        db.execute("INSERT INTO coldchain.push_due (device_id, since, stored_since) SELECT device_id, to_timestamp(%s), '3' FROM fleet.device "
                   "WHERE serial = ANY (%s)", [at, serials])
    return hook, serials


def told_of(request):
    return [report["ESER"] for report in request["event"]["data"]]


def test_what_several_devices_measured_goes_in_one_transfer_that_is_sent_again_whole(notified, receiver, push):
    answers = iter([(503, {}), (200, {})])
    receiver.answer = lambda request: next(answers, (200, {}))
    hook, serials = several(notified, push, 120)
    wait_for(lambda: len(transfers(notified, hook["id"], state="delivered", limit=1000)) == 120, 40, "all to be delivered")
    assert told_of(receiver.got[0]) in [told_of(r) for r in receiver.got[1:]] and len(receiver.got) <= 4
    assert receiver.got[0]["headers"]["webhook-id"] in [r["headers"]["webhook-id"] for r in receiver.got[1:]]
    assert sorted(s for r in receiver.got[1:] for s in told_of(r)) == sorted(serials)
    checked(receiver.got[0]["event"])


def test_one_device_whose_records_are_refused_holds_up_no_other_of_its_transfer(notified, receiver, push):
    bad = []
    receiver.answer = lambda request: (400 if bad[0] in told_of(request) else 200, {})
    bad.append(f"several-{next(keys) + 3}")
    hook, serials = several(notified, push, 10)
    assert bad[0] in serials
    wait_for(lambda: len(transfers(notified, hook["id"], state="delivered")) == 9, 40, "the others to be delivered")
    dead = transfers(notified, hook["id"], state="dead")
    assert [d["device"] for d in dead] == bad and len(told_of(receiver.got[0])) > 1


def test_killed_in_the_middle_no_reading_is_missing_and_no_transfer_is_too_large(notified, receiver, push):
    push("spare-04")
    reached, go = threading.Event(), threading.Event()
    receiver.answer = lambda request: (reached.set(), go.wait(60 * PATIENCE), (200, {}))[2]
    sent = measured(notified, "spare-04", began - 1_000_000, [n % 60 for n in range(1200)], 300)
    assert reached.wait(20 * PATIENCE)
    notified.kill("notify")
    receiver.answer = lambda request: (200, {})
    go.set()
    sent.update(measured(notified, "spare-04", then(), [1, 2, 3]))
    notified.start("notify")
    wait_for(lambda: pushed(receiver) == sent, 40, "all to be pushed")
    assert max(len(r["body"]) for r in receiver.got) <= 1_000_000
    assert all(len(report["records"]) <= 1000 for r in receiver.got for report in r["event"]["data"])
    checked(receiver.got[-1]["event"])


def test_an_alarm_that_is_found_after_its_readings_were_pushed_is_pushed(notified, receiver, push):
    push("spare-05")
    first = then()
    sent = measured(notified, "spare-05", first, [4, 4])
    wait_for(lambda: pushed(receiver) == sent, 20, "all to be pushed")
    notified.sql("SELECT coldchain.alarm_raise('door', device_id, NULL, NULL, %s, to_timestamp(%s), false, '{}') FROM fleet.device WHERE serial = 'spare-05'",
                 [f"test-{next(keys)}", first + 30])
    wait_for(lambda: {r["ABST"]: r["ALRM"] for r in receiver.got[-1]["event"]["data"][0]["records"]}.get(max(sent)) == "DOOR", 20, "the alarm to be pushed")


def test_transfers_too_are_pushed_to_no_private_address(notified, push):
    forbidden = Receiver("127.0.0.2")
    hook = push("spare-04")
    notified.sql("UPDATE coldchain.webhook SET url = %s WHERE webhook_id = %s", [forbidden.url, hook["id"]])
    measured(notified, "spare-04", then(), [5])
    dead = wait_for(lambda: transfers(notified, hook["id"], state="dead"), 20, "it to be given up")[0]
    assert dead["last_error"] == "its address is not allowed" and not forbidden.got
    forbidden.close()
