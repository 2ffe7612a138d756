# SPDX-License-Identifier: Apache-2.0
"""The API against its own contract: every operation of /openapi.json is made to give every status that is documented
for it, and whatever comes must be documented. An operation that nobody has told this test how to call fails it."""

import itertools
import json
import subprocess
from datetime import datetime, timedelta, timezone

import pytest

from api_contract import Bare, Client, Contract, Operation
from stack import ROOT, wait_for

numbers = itertools.count(1)


def imei():
    """A new one, with its check digit."""
    digits = f"3512345{next(numbers):07d}"
    doubled = [int(d) * (2 if n % 2 else 1) for n, d in enumerate(digits)]
    return digits + str(-sum(d // 10 + d % 10 for d in doubled) % 10)


def tomorrow():
    return (datetime.now(timezone.utc) + timedelta(days=1)).isoformat()


class Lab:
    """A stack, its contract, and things in it to call operations on."""

    def __init__(self, stack):
        self.stack = stack
        answer = stack.rest("/openapi.json", None)
        assert answer.status == 200 and answer.headers["content-type"] == "application/json"
        self.contract = Contract(answer.json)
        media, body = self.contract.by_id["devices_import"].body()
        self.imported = {"id": stack.rest("/v1/devices:import", "ADMIN", "POST", body, {"Content-Type": media}).json["id"]}

    def token(self, role):
        return self.stack.env[f"COLDFLEET_TOKEN_{role.upper()}"]

    def device(self):
        serial = f"contract-{next(numbers)}"
        self.stack.sql("SELECT fleet.register_device(%s, 'Acme', 'CT-1', 'B')", [serial])
        return {"serial": serial}

    def decommissioned(self):
        device = self.device()
        self.stack.sql("UPDATE fleet.device SET state = 'decommissioned' WHERE serial = %s", [device["serial"]])
        return device

    def quarantined(self):
        return {"id": self.stack.value("""INSERT INTO telemetry.quarantine
            (first_received_at, last_received_at, device_id, seen, digest, reason, topic, payload)
            SELECT now(), now(), device_id, 1, sha256(%s::text::bytea), 'syntax', 'coldfleet/v1/spare-01/telemetry', 'x'
            FROM fleet.device WHERE serial = 'spare-01' RETURNING id""", [str(next(numbers))])}

    def made_token(self):
        name = f"contract-{next(numbers)}"
        self.stack.sql("SELECT fleet.create_token(%s, 'viewer')", [name])
        return {"id": self.stack.value("SELECT token_id FROM fleet.token WHERE name = %s", [name])}

    def group(self, filter=None, scope=False):
        name = f"contract-{next(numbers)}"
        made = self.stack.value("INSERT INTO fleet.device_group (name, description, filter) VALUES (%s, '', %s) RETURNING group_id", [name, filter])
        if scope:
            self.stack.sql("SELECT fleet.create_token(%s, 'viewer')", [name])
            self.stack.sql("UPDATE fleet.token SET groups = ARRAY[%s] WHERE name = %s", [made, name])
        return {"id": made, "serial": "spare-01"}

    def group_name(self):
        return self.stack.value("SELECT name FROM fleet.device_group WHERE group_id = %s", [self.group()["id"]])

    def equipment(self, serial):
        """A transfer of equipment with that serial, of yesterday."""
        made = json.loads(json.dumps(self.contract.by_id["cce_import"].body_example))
        made["data"][0]["ESER"] = serial
        made["data"][0]["records"][0]["ABST"] = (datetime.now(timezone.utc) - timedelta(days=1)).strftime("%Y%m%dT%H%M%SZ")
        return made

    def measured(self):
        device = self.device()
        self.stack.sql("SELECT telemetry.ensure_partition(now())")
        self.stack.sql("INSERT INTO telemetry.reading (ts, received_at, device_id, seq, epoch, probe, temperature_c) "
                       "SELECT now(), now(), device_id, 0, 0, 0, 4 FROM fleet.device WHERE serial = %s", [device["serial"]])
        return {"path": device}

    def logger_file(self, kept=False):
        """A device that is no tracker, and a file of a logger of yesterday that nobody has imported yet, or somebody has."""
        text = self.contract.by_id["logger_import"].bodies["text/plain"]["example"].replace("TEST00001", f"TEST{next(numbers):05d}")
        text = text.replace("2026-11-01", str((datetime.now(timezone.utc) - timedelta(days=1)).date()))
        made = {"path": self.device(), "query": [("zone", "UTC")], "body": text}
        if kept:
            path = f"/v1/devices/{made['path']['serial']}/logger-files?zone=UTC"
            assert self.stack.rest(path, "ADMIN", "POST", text, {"Content-Type": "text/plain"}).status == 201
        return made

    def calibration(self, void=False):
        made = {**self.device(), **self.example("calibration_create", certificate=f"C/{next(numbers)}")}
        made = self.call("calibration_create", made.pop("serial"), made)
        if void:
            self.call("calibration_void", made["id"], self.example("calibration_void"))
        return {"id": made["id"], "serial": made["serial"], "certificate": made["certificate"]}

    def asked(self, operation="locate", actor="contract"):
        """A request of somebody for a command to a device of its own, which nobody will send before tomorrow: the numbers of both, and
        the digest to approve."""
        device = self.device()
        with self.stack.connect() as db, db.transaction():
            db.execute("SELECT api.enter(%s, NULL, 'operator', NULL, 'operator', NULL)", [actor])
            db.execute("SET LOCAL ROLE coldfleet_api")
            body = {"operation": operation, "arguments": {"mode": "halt"} if operation == "disable" else {}, "not_before": tomorrow()}
            made = json.loads(db.execute("SELECT body FROM api.command_make(%s, %s)", [device["serial"], json.dumps(body)]).fetchone()[0])
        digest = self.stack.value("SELECT encode(request_sha256, 'hex') FROM command.request WHERE request_id = %s", [made["request_id"]])
        return {"command": {"id": made["id"]}, "request": {"id": made["request_id"]}, "digest": {"request_sha256": digest}}

    def example(self, operation, **fields):
        return {**self.contract.by_id[operation].body_example, **fields}

    def call(self, function, *values):
        """What a function of the schema api answers an admin; works while the API refuses everything."""
        with self.stack.connect() as db, db.transaction():
            db.execute("SELECT api.enter('contract', NULL, 'admin', NULL, 'admin', NULL)")
            db.execute("SET LOCAL ROLE coldfleet_api")
            values = [json.dumps(v) if isinstance(v, dict) else v for v in values]
            return json.loads(db.execute(f"SELECT body FROM api.{function}({', '.join(['%s'] * len(values))})", values).fetchone()[0])

    def go(self, path, *steps):
        for step in steps:
            body = self.example(f"shipment_{step}")
            self.call(*(("shipment_decide", path["id"], body) if step == "decide" else ("shipment_step", path["id"], body, step)))
        return path

    def shipment(self, *steps):
        """A shipment of one lot, which has gone these steps."""
        return self.go({"id": self.call("shipment_create", self.example("shipment_create", reference=f"contract-{next(numbers)}"))["id"]}, *steps)

    def watch_body(self):
        return self.example("assignment_create", serial=self.device()["serial"])

    def assignment(self, *steps):
        """An assignment of a device of its own in a shipment, which then goes these steps."""
        path = self.shipment()
        made = self.call("assignment_create", path["id"], self.watch_body())
        return {**self.go(path, *steps), "assignment": made["id"], "serial": made["serial"]}

    def excursion(self):
        serial = self.assignment("depart")["serial"]
        self.stack.sql("SELECT telemetry.ensure_partition('2026-09-01T09:00:00Z')")
        self.stack.sql("INSERT INTO telemetry.reading (ts, received_at, device_id, seq, epoch, probe, temperature_c) "
                       "SELECT '2026-09-01T09:00:00Z', now(), device_id, 0, 0, 0, 12 FROM fleet.device WHERE serial = %s", [serial])
        self.stack.sql("SELECT coldchain.mark(ARRAY[device_id], ARRAY['-infinity'::timestamptz]) FROM fleet.device WHERE serial = %s", [serial])
        found = "SELECT excursion_id FROM coldchain.excursion AS e JOIN fleet.device AS d USING (device_id) WHERE d.serial = %s"
        # Somebody else may be evaluating it at this moment.
        wait_for(lambda: self.stack.sql("SELECT coldchain.evaluate(1000)") and self.stack.sql(found, [serial]), 20, "the excursion to be found")
        return {"id": self.stack.value(found, [serial])}

    def shipping(self):
        """The serial of a device that watches over a shipment."""
        return self.assignment("depart")["serial"]

    def geofence(self):
        return {"id": self.call("geofence_create", self.example("geofence_create", place=f"contract-{next(numbers)}"))["id"]}

    def known_place(self):
        place = f"contract-{next(numbers)}"
        self.call("geofence_create", self.example("geofence_create", place=place))
        return place

    def new_profile(self):
        return {"name": f"contract-{next(numbers)}"}

    def profile(self):
        made = self.new_profile()
        self.call("profile_put", made["name"], self.example("profile_put"), "*")
        return made

    def decision(self):
        asked = self.asked("disable")
        return {"path": asked["request"], "body": asked["digest"]}

    def moved(self, path, word):
        """A request that was cancelled or paused."""
        with self.stack.connect() as db, db.transaction():
            db.execute("SELECT api.enter('contract', NULL, 'operator', NULL, 'operator', NULL)")
            db.execute("SET LOCAL ROLE coldfleet_api")
            db.execute(f"SELECT api.request_{word}(%s, '{{}}')", [path["id"]])
        return path

    def own(self):
        """A request of the holder of the token ADMIN."""
        return self.asked("disable", self.stack.value("SELECT name FROM fleet.token WHERE role = 'admin' ORDER BY token_id LIMIT 1"))["request"]

    def alarm(self, acknowledged=False):
        raised = self.stack.value("SELECT coldchain.alarm_raise('door', device_id, NULL, NULL, %s, now(), false, NULL) FROM fleet.device "
                                  "WHERE serial = 'spare-01'", [str(next(numbers))])
        if acknowledged:
            self.stack.sql("SELECT coldchain.alarm_acknowledge(%s, 'contract', 'seen')", [raised])
        return {"id": raised}

    def rule(self):
        """Of a device of its own."""
        return {"id": self.call("alarm_rule_create", self.example("alarm_rule_create", **self.rule_of()))["id"]}

    def rule_of(self):
        return {"device": self.device()["serial"]}

    def known_rule(self):
        body = self.example("alarm_rule_create", **self.rule_of())
        self.call("alarm_rule_create", body)
        return body

    def webhook(self):
        return {"id": self.stack.value("SELECT webhook_id FROM coldchain.webhook_make('contract', 'https://192.0.2.1/', NULL, NULL)")}

    def delivery(self, state="dead"):
        """Of a webhook that is switched off, so that nobody sends it."""
        hook = self.webhook()["id"]
        self.stack.sql("UPDATE coldchain.webhook SET enabled = false WHERE webhook_id = %s", [hook])
        return {"id": self.stack.value("INSERT INTO coldchain.delivery (webhook_id, notice_id, device_id, state, ended_at) SELECT %s, notice_id, device_id, %s, "
                                       "CASE WHEN %s = 'dead' THEN now() END FROM coldchain.notice WHERE alarm_id = %s RETURNING delivery_id",
                                       [hook, state, state, self.alarm()["id"]])}

    def new_group_body(self):
        return {**self.contract.by_id["group_create"].body_example, "name": f"contract-{next(numbers)}"}

    def new_device_body(self):
        example = self.contract.by_id["device_create"].body_example
        return {**example, "serial": f"contract-{next(numbers)}", "module": {**example["module"], "imei": imei()}}


# What an operation needs to go well, beyond what stands in the contract: values of its path (and query, as pairs), body.
# A path with {serial} gets spare-01, a body the example of the contract.
READY = {
    "device_create": lambda lab: {"body": lab.new_device_body()},
    "device_patch": lambda lab: {"path": lab.device()},
    "device_decommission": lambda lab: {"path": lab.device()},
    "token_revoke": lambda lab: {"path": lab.made_token()},
    "quarantined": lambda lab: {"path": lab.quarantined()},
    "quarantine_replay": lambda lab: {"path": lab.quarantined()},
    "operation": lambda lab: {"path": lab.imported},
    "operation_rows": lambda lab: {"path": lab.imported},
    "group_create": lambda lab: {"body": lab.new_group_body()},
    "group": lambda lab: {"path": lab.group()},
    "group_patch": lambda lab: {"path": lab.group()},
    "group_delete": lambda lab: {"path": lab.group()},
    "group_join": lambda lab: {"path": lab.group()},
    "group_leave": lambda lab: {"path": lab.group()},
    "cce_import": lambda lab: {"body": lab.equipment(f"contract-{next(numbers)}")},
    "cce_export": lambda lab: lab.measured(),
    "logger_import": lambda lab: lab.logger_file(),
    "calibration_create": lambda lab: {"path": lab.device()},
    "calibration": lambda lab: {"path": lab.calibration()},
    "calibration_void": lambda lab: {"path": lab.calibration()},
    "command_make": lambda lab: {"path": lab.device()},
    "alarm_acknowledge": lambda lab: {"path": lab.alarm()},
    "alarm_rule": lambda lab: {"path": lab.rule()},
    "alarm_rule_create": lambda lab: {"body": lab.example("alarm_rule_create", **lab.rule_of())},
    "alarm_rule_patch": lambda lab: {"path": lab.rule()},
    "alarm_rule_delete": lambda lab: {"path": lab.rule()},
    "webhook": lambda lab: {"path": lab.webhook()},
    "webhook_patch": lambda lab: {"path": lab.webhook()},
    "webhook_delete": lambda lab: {"path": lab.webhook()},
    "deliveries": lambda lab: {"path": lab.webhook()},
    "delivery_replay": lambda lab: {"path": lab.delivery()},
    "command": lambda lab: {"path": lab.asked()["command"]},
    "command_cancel": lambda lab: {"path": lab.asked()["command"]},
    "request": lambda lab: {"path": lab.asked()["request"]},
    "request_edit": lambda lab: {"path": lab.own()},
    "request_approve": lambda lab: lab.decision(),
    "request_refuse": lambda lab: lab.decision(),
    "request_cancel": lambda lab: {"path": lab.asked()["request"]},
    "request_pause": lambda lab: {"path": lab.asked()["request"]},
    "request_resume": lambda lab: {"path": lab.moved(lab.asked()["request"], "pause")},
    "product_create": lambda lab: {"body": {"name": f"contract-{next(numbers)}"}},
    "profile": lambda lab: {"path": lab.profile()},
    "profile_put": lambda lab: {"path": lab.profile()},
    "profile_history": lambda lab: {"path": lab.profile()},
    "shipment_create": lambda lab: {"body": lab.example("shipment_create", reference=f"contract-{next(numbers)}")},
    "shipment": lambda lab: {"path": lab.shipment()},
    "shipment_patch": lambda lab: {"path": lab.shipment()},
    "shipment_depart": lambda lab: {"path": lab.shipment()},
    "shipment_arrive": lambda lab: {"path": lab.shipment("depart")},
    "shipment_close": lambda lab: {"path": lab.shipment("depart", "arrive", "decide")},
    "shipment_cancel": lambda lab: {"path": lab.shipment()},
    "shipment_decide": lambda lab: {"path": lab.shipment("depart", "arrive")},
    "shipment_excursions": lambda lab: {"path": lab.shipment()},
    "shipment_figures": lambda lab: {"path": lab.assignment("depart")},
    "shipment_epcis": lambda lab: {"path": lab.assignment("depart", "arrive", "decide")},
    "shipment_report": lambda lab: {"path": lab.assignment("depart", "arrive", "decide")},
    "geofence": lambda lab: {"path": lab.geofence()},
    "geofence_create": lambda lab: {"body": lab.example("geofence_create", place=f"contract-{next(numbers)}")},
    "geofence_patch": lambda lab: {"path": lab.geofence()},
    "geofence_delete": lambda lab: {"path": lab.geofence()},
    "leg_patch": lambda lab: {"path": {**lab.shipment("depart"), "leg": 1}},
    "assignment": lambda lab: {"path": lab.assignment()},
    "assignment_create": lambda lab: {"path": lab.shipment(), "body": lab.watch_body()},
    "assignment_patch": lambda lab: {"path": lab.assignment()},
    "excursion": lambda lab: {"path": lab.excursion()},
}
# What makes it answer with a status that its row of the route table does not explain.
REFUSED = {
    ("device_create", 409): lambda lab: {"body": {**lab.new_device_body(), "serial": "spare-01"}},
    ("logger_import", 200): lambda lab: lab.logger_file(kept=True),
    ("calibration_create", 200): lambda lab: next({"path": c, "body": lab.example("calibration_create", certificate=c["certificate"])} for c in [lab.calibration()]),
    ("calibration_create", 409): lambda lab: next({"path": c, "body": lab.example("calibration_create", certificate=c["certificate"], method="dry block")}
                                                  for c in [lab.calibration()]),
    ("calibration_void", 409): lambda lab: {"path": lab.calibration(void=True)},
    ("cce_import", 409): lambda lab: {"body": lab.equipment("spare-01")},
    ("logger_import", 409): lambda lab: {**lab.logger_file(), "path": {"serial": "spare-01"}},
    ("device_patch", 409): lambda lab: {"path": lab.decommissioned()},
    ("device_decommission", 409): lambda lab: {"path": lab.decommissioned()},
    ("config_put", 409): lambda lab: {"path": lab.decommissioned()},
    ("group_create", 409): lambda lab: {"body": {**lab.new_group_body(), "name": lab.group_name()}},
    ("group_patch", 409): lambda lab: {"path": lab.group(), "body": {"name": lab.group_name()}},
    ("group_delete", 409): lambda lab: {"path": lab.group(scope=True)},
    ("group_join", 409): lambda lab: {"path": lab.group(filter='{"state": "active"}')},
    ("group_leave", 409): lambda lab: {"path": lab.group(filter='{"state": "active"}')},
    ("stream", 404): lambda lab: {"query": [("device", "nobody")]},
    ("command_make", 409): lambda lab: {"path": lab.decommissioned()},
    ("commands_make", 409): lambda lab: {"body": {"operation": "disable", "arguments": {"mode": "halt"}, "target": {"serials": [lab.shipping()]}}},
    ("commands", 404): lambda lab: {"query": [("device", "nobody")]},
    ("command_cancel", 409): lambda lab: {"path": next((a["command"], lab.moved(a["request"], "cancel")) for a in [lab.asked()])[0]},
    ("request_edit", 409): lambda lab: {"path": lab.moved(lab.own(), "cancel")},
    ("request_approve", 409): lambda lab: {**lab.decision(), "body": lab.asked()["digest"]},
    ("request_refuse", 409): lambda lab: {**lab.decision(), "body": lab.asked()["digest"]},
    ("request_cancel", 409): lambda lab: {"path": lab.moved(lab.asked()["request"], "cancel")},
    ("request_pause", 409): lambda lab: {"path": lab.moved(lab.asked()["request"], "pause")},
    ("request_resume", 409): lambda lab: {"path": lab.asked()["request"]},
    ("alarms", 404): lambda lab: {"query": [("device", "nobody")]},
    ("alarm_rules", 404): lambda lab: {"query": [("device", "nobody")]},
    ("alarm_rule_create", 404): lambda lab: {"body": lab.example("alarm_rule_create", device="nobody")},
    ("alarm_rule_create", 409): lambda lab: {"body": lab.known_rule()},
    ("alarm_rule_delete", 409): lambda lab: {"path": {"id": lab.stack.value(
        "SELECT rule_id FROM coldchain.alarm_rule WHERE kind = 'door' AND num_nonnulls(model_id, group_id, device_id) = 0")}},
    ("alarm_acknowledge", 409): lambda lab: {"path": lab.alarm(acknowledged=True)},
    ("delivery_replay", 409): lambda lab: {"path": lab.delivery("waiting")},
    ("product_create", 409): lambda lab: {"body": {"name": "Comirnaty"}},
    ("profile_put", 201): lambda lab: {"path": lab.new_profile()},
    ("shipments", 404): lambda lab: {"query": [("device", "nobody")]},
    ("excursions", 404): lambda lab: {"query": [("device", "nobody")]},
    ("shipment_create", 409): lambda lab: {"body": lab.example("shipment_create", reference=lab.call("shipment_get", lab.shipment()["id"])["reference"])},
    ("shipment_patch", 409): lambda lab: {"path": lab.shipment("depart", "arrive", "decide", "close")},
    ("shipment_depart", 409): lambda lab: {"path": lab.shipment("depart")},
    ("shipment_arrive", 409): lambda lab: {"path": lab.shipment()},
    ("shipment_close", 409): lambda lab: {"path": lab.shipment("depart", "arrive")},
    ("shipment_cancel", 409): lambda lab: {"path": lab.shipment("depart", "arrive")},
    ("shipment_decide", 409): lambda lab: {"path": lab.shipment("depart")},
    ("geofence_create", 409): lambda lab: {"body": lab.example("geofence_create", place=lab.known_place())},
    ("leg_patch", 409): lambda lab: {"path": {**lab.shipment(), "leg": 1}},
    ("assignment_create", 409): lambda lab: {"path": lab.shipment("depart", "arrive", "decide", "close"), "body": lab.watch_body()},
    ("assignment_patch", 409): lambda lab: {"path": lab.assignment("depart", "arrive", "decide", "close")},
    ("quarantine", 404): lambda lab: {"query": [("serial", "nobody")]},
    ("audit", 404): lambda lab: {"query": [("device", "nobody")]},
}


class Call:
    """One request to an operation that would go well, to be spoiled."""

    def __init__(self, lab, operation: Operation, needs):
        self.operation = operation
        self.path = needs.get("path") or {p["name"]: "spare-01" for p in operation.param("path") if p["name"] == "serial"}
        missing = [p["name"] for p in operation.param("path") if p["name"] not in self.path]
        assert not missing, f"READY has no {missing} for {operation.id}"
        self.query = list(needs.get("query", ()))
        self.headers = dict(needs.get("headers", ()))
        if operation.role:
            self.headers["Authorization"] = f"Bearer {lab.token('ADMIN')}"
        if operation.param("header", "If-Match"):
            self.headers.setdefault("If-Match", "*")
        media, self.body = operation.body(needs.get("body"))
        if media:
            self.headers["Content-Type"] = media

    def send(self, client):
        return client.send(self.operation.method, self.operation.target(self.path, self.query), self.headers, self.body)


# How to spoil any call so that it gets a status.


def bad_request(lab, call):
    call.query.append(("no_such_parameter", "1"))


def unauthorized(lab, call):
    del call.headers["Authorization"]


def forbidden(lab, call):
    call.headers["Authorization"] = f"Bearer {lab.token('VIEWER')}"


def not_found(lab, call):
    assert call.operation.param("path"), f"REFUSED has no 404 of {call.operation.id}"
    call.path = {p["name"]: p["schema"]["maximum"] if p["schema"]["type"] == "integer" else "x" * p["schema"].get("minLength", 6)
                 for p in call.operation.param("path")}


def stale(lab, call):
    call.headers["If-Match"] = '"0"'


def wrong_media(lab, call):
    call.headers["Content-Type"] = "image/png"


def invalid(lab, call):
    if call.operation.body_schema is not None:
        call.body = b'{"no_such_field":1}'
        return
    if call.operation.bodies:
        call.body = b"\n"
        return
    for p in call.operation.param("query"):
        wrong = {"integer": "x", "string": "?" if {"enum", "format"} & p["schema"].keys() else ""}[p["schema"]["type"]]
        if p["name"] != "cursor":
            call.query = [(p["name"], wrong)]
            return
    call.path = {p["name"]: "?" for p in call.operation.param("path")}


def unconditional(lab, call):
    del call.headers["If-Match"]


def nothing(lab, call):
    pass


SPOIL = {400: bad_request, 401: unauthorized, 403: forbidden, 404: not_found, 412: stale, 415: wrong_media, 422: invalid,
         428: unconditional, 500: nothing, 503: nothing}


@pytest.fixture(scope="module")
def lab(stack):
    return Lab(stack)


@pytest.fixture
def client(lab):
    made = []

    def make(port=None):
        made.append(Client(lab.contract, port or int(lab.stack.env["COLDFLEET_API"].rsplit(":", 1)[1])))
        return made[-1]

    yield make
    for one in made:
        one.close()


def provoke(lab, client, operation, status):
    """Makes the operation answer with the status; what is wrong about the answer, or None."""
    try:
        needs = REFUSED.get((operation.id, status))
        call = Call(lab, operation, (needs or READY.get(operation.id, lambda lab: {}))(lab))
        if status == 304:
            call.headers["If-None-Match"] = call.send(client)[1]["etag"]
        elif status >= 400 and not needs:
            assert status in SPOIL, f"REFUSED has no {status} of {operation.id}"
            SPOIL[status](lab, call)
        got, headers, body = call.send(client)
        lab.contract.check(operation, got, headers, body)
        assert got == status, f"got {got} {body[:300]!r}"
    except AssertionError as e:
        return f"{operation} -> {status}: {e}"
    return None


def provoke_all(lab, client, statuses):
    wrong = [provoke(lab, client, o, status) for o in lab.contract.operations for status in sorted(o.responses)
             if statuses(o, status)]
    assert wrong, "nothing was documented"
    assert not any(wrong), "\n".join(filter(None, wrong))


def test_every_operation_gives_every_documented_status_and_only_what_is_documented(lab, client):
    provoke_all(lab, client(), lambda o, status: status not in (429, 500, 503))


def test_every_operation_answers_503_without_the_database(lab, client, tmp_path):
    with Bare(lab.stack, tmp_path, database="host=/nonexistent") as bare:
        provoke_all(lab, client(bare.port), lambda o, status: status == 503)


def test_every_operation_answers_500_when_the_database_refuses_a_statement(lab, client, tmp_path):
    function = lab.stack.value("SELECT oid::regprocedure::text FROM pg_proc WHERE proname = 'begin' AND pronamespace = 'api'::regnamespace")
    with Bare(lab.stack, tmp_path) as bare:
        one = client(bare.port)
        wait_for(lambda: one.send("GET", "/readyz")[0] == 200, 20, "the API to be ready")
        lab.stack.sql(f"REVOKE EXECUTE ON FUNCTION {function} FROM coldfleet_api")
        try:
            provoke_all(lab, one, lambda o, status: status == 500)
        finally:
            lab.stack.sql(f"GRANT EXECUTE ON FUNCTION {function} TO coldfleet_api")


def test_every_operation_answers_429_to_a_token_that_asks_too_often(lab, client, tmp_path):
    wrong = []
    with Bare(lab.stack, tmp_path, rate_per_token=1, burst_per_token=1) as bare:
        one = client(bare.port)
        for o in lab.contract.operations:
            if 429 not in o.responses:
                continue
            call = Call(lab, o, READY.get(o.id, lambda lab: {})(lab))
            for _ in range(3):  # the bucket fills by one a second: of three in a row one finds it empty
                status, headers, body = call.send(one)
                lab.contract.check(o, status, headers, body)
                if status == 429:
                    break
            wrong += [f"{o}: got {status}"] if status != 429 or "retry-after" not in headers else []
    assert not wrong, wrong


def test_every_documented_form_of_an_answer_can_be_had(lab, client):
    one, forms = client(), 0
    for o in lab.contract.operations:
        media = list(o.responses.get(200, {}).get("content", ()))
        for wanted in media if len(media) > 1 else ():
            call = Call(lab, o, READY.get(o.id, lambda lab: {})(lab))
            short = wanted.split(";")[0].rpartition("/")[2].removeprefix("x-")
            if o.param("query", "format"):
                call.query.append(("format", short))
            else:
                call.headers["Accept"] = wanted
            status, headers, body = call.send(one)
            lab.contract.check(o, status, headers, body)
            assert (status, headers["content-type"]) == (200, wanted), o
            forms += 1
    assert forms == 0 or forms > 1


def test_examples_of_the_contract_are_what_their_schemas_say(lab):
    seen = 0
    for o in lab.contract.operations:
        for status, answer in o.responses.items():
            for said in answer.get("content", {}).values():
                if "example" in said:
                    lab.contract.check_body(id(answer), said, json.dumps(said["example"]))
                    seen += 1
        for said in o.bodies.values():
            assert said.get("example") is not None, f"{o} has no example of a body"
            lab.contract.check_body(id(o), said, json.dumps(said["example"]))
    assert seen > 10 * len(lab.contract.operations) // 4


def test_kinds_of_alarms_are_those_of_the_database(lab):
    kinds = {kind for (kind,) in lab.stack.sql("SELECT kind FROM coldchain.alarm_kind")}
    parameters = {p["name"]: p for p in lab.contract.document["paths"]["/v1/alarms"]["get"]["parameters"] if "name" in p}
    assert set(lab.contract.document["components"]["schemas"]["AlarmKind"]["enum"]) == set(parameters["kind"]["schema"]["enum"]) == kinds


def test_every_operation_is_described(lab):
    """One without an entry in api/answers/ has an answer that anything fits."""
    bare = [f"{o} ({o.id})" for o in lab.contract.operations
            if 204 not in o.responses and not any(c.get("schema") for s, a in o.responses.items() if s < 300
                                                  for c in a.get("content", {}).values())]
    assert not bare, f"describe them in api/answers/: {bare}"
    assert all(o.said["summary"] and all(p.get("description") for p in o.params) for o in lab.contract.operations)
    assert len(lab.contract.by_id) == len(lab.contract.operations)


def test_method_that_a_path_does_not_know_is_405_and_unknown_path_404(lab, client):
    one = client()
    for path, methods in lab.contract.document["paths"].items():
        known = {m.upper() for m in methods} | ({"HEAD"} if "get" in methods else set())
        target = path.replace("{serial}", "spare-01").replace("{id}", "1").replace("{name}", "who-refrigerator").replace("{assignment}", "1").replace("{leg}", "1")
        for method in {"GET", "PUT", "POST", "PATCH", "DELETE"} - known:
            status, headers, body = one.send(method, target)
            lab.contract.check(None, status, headers, body)
            assert status == 405 and known >= set(headers["allow"].split(", ")), (method, path, status)
        status, headers, body = one.send("GET", target.rstrip("/") + "/no/such/path")
        lab.contract.check(None, status, headers, body)
        assert status == 404


def test_table_in_the_documentation_is_rendered_from_the_contract(lab, tmp_path):
    document = tmp_path / "openapi.json"
    document.write_text(json.dumps(lab.contract.document))
    run = subprocess.run(["/usr/bin/python3", "-B", ROOT / "ops/lib/render_api.py", "--check", ROOT / "docs/api.md", document],
                         capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
