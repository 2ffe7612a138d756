# SPDX-License-Identifier: Apache-2.0
"""Commands over REST, with the real API and nobody who signs: who may ask and who may approve, what a request is about,
what a scope sees, how a list is paged, and how configuration becomes a command."""

import uuid

import pytest

from stack import wait_for

MORE = 250


@pytest.fixture(scope="module")
def quiet(stack):
    """The stack without its signer: what is asked for stays where REST has put it."""
    stack.stop("signer")
    stack.sql("SELECT fleet.register_device('many-' || lpad(n::text, 4, '0'), 'Acme', 'C-1', '') FROM generate_series(1, %s) AS n", [MORE])
    return stack


@pytest.fixture
def serial(quiet):
    name = f"one-{uuid.uuid4()}"
    quiet.sql("SELECT fleet.register_device(%s, 'Acme', 'C-1', '')", [name])
    return name


def post(stack, path, body, token="OPERATOR", key=None):
    return stack.rest(path, token, "POST", body, {"Idempotency-Key": key or str(uuid.uuid4())})


def ask(stack, serial, operation="locate", token="OPERATOR", **body):
    made = post(stack, f"/v1/devices/{serial}/commands", {"operation": operation, **body}, token)
    assert made.status == 201, made
    assert made.headers["location"] == f"/v1/commands/{made.json['id']}"
    return made.json


def disable(stack, serial, **body):
    return ask(stack, serial, "disable", arguments={"mode": "halt"}, **body)


def request_of(stack, command):
    return stack.rest(f"/v1/requests/{command['request_id']}")


def approve(stack, request, token="APPROVER", word="approve"):
    return post(stack, f"/v1/requests/{request['id']}:{word}", {"request_sha256": request["request_sha256"]}, token)


def states(stack, request):
    return stack.rest(f"/v1/requests/{request['id']}").json["progress"]


def test_what_only_reads_needs_no_approval(quiet, serial):
    command = ask(quiet, serial, reason="where is it")
    assert (command["state"], command["class"], command["reason"]) == ("approved", 1, "where is it")
    assert request_of(quiet, command).json["decisions"] == []
    assert quiet.rest(f"/v1/devices/{serial}").json["commands"] == {"open": 1, "switched": None}


def test_a_disable_goes_on_after_somebody_else_approved_it(quiet, serial):
    command = disable(quiet, serial)
    assert command["state"] == "awaiting_approval"
    request = request_of(quiet, command).json
    assert approve(quiet, request, "OPERATOR").status == 403
    assert approve(quiet, request).json["state"] == "active"
    assert approve(quiet, request, "ADMIN").status == 409
    told = quiet.rest(f"/v1/commands/{command['id']}").json
    assert [(h["from"], h["to"], h["who"]) for h in told["history"]] == [
        ("requested", "awaiting_approval", request["requested_by"]), ("awaiting_approval", "approved", "demo approver")]


def test_an_admin_does_not_approve_the_own_request(quiet, serial):
    request = request_of(quiet, disable(quiet, serial, token="ADMIN")).json
    refused = approve(quiet, request, "ADMIN")
    assert refused.status == 403 and "somebody else" in refused.json["detail"]
    assert states(quiet, request) == {"awaiting_approval": 1}
    assert approve(quiet, request, word="refuse").json["state"] == "refused"
    assert states(quiet, request) == {"refused": 1}


def test_an_edit_voids_what_was_shown(quiet, serial):
    shown = request_of(quiet, disable(quiet, serial))
    path = f"/v1/requests/{shown.json['id']}"
    edit = {"arguments": {"mode": "radio-off"}}
    assert quiet.rest(path, "OPERATOR", "PATCH", edit).status == 428
    edited = quiet.rest(path, "OPERATOR", "PATCH", edit, {"If-Match": shown.headers["etag"]})
    assert edited.status == 200 and edited.json["request_sha256"] != shown.json["request_sha256"]
    assert quiet.rest(path, "OPERATOR", "PATCH", edit, {"If-Match": shown.headers["etag"]}).status == 412
    assert approve(quiet, shown.json).status == 409
    assert approve(quiet, edited.json).status == 200
    assert quiet.rest(path, "OPERATOR", "PATCH", edit, {"If-Match": "*"}).status == 409


def test_a_request_is_repeated_without_harm(quiet, serial):
    key, path = str(uuid.uuid4()), f"/v1/devices/{serial}/commands"
    first, again = (post(quiet, path, {"operation": "locate"}, key=key) for _ in range(2))
    assert first.json == again.json and again.headers["idempotency-replayed"] == "true"
    assert quiet.rest(f"/v1/devices/{serial}").json["commands"]["open"] == 1
    assert post(quiet, path, {"operation": "reboot"}, key=key).status == 422


def test_devices_of_a_request_are_those_of_the_moment_it_was_made(quiet):
    asked = post(quiet, "/v1/commands", {"operation": "report-now", "target": {"filter": {"q": "many-"}}})
    assert asked.status == 201 and asked.json["device_count"] == MORE and asked.json["progress"] == {"approved": MORE}
    quiet.sql("SELECT fleet.register_device('many-late', 'Acme', 'C-1', '')")
    assert states(quiet, asked.json) == {"approved": MORE}
    quiet.sql("UPDATE fleet.device SET state = 'decommissioned' WHERE serial = 'many-late'")
    for word, state in ("pause", "paused"), ("resume", "active"), ("cancel", "cancelled"):
        assert post(quiet, f"/v1/requests/{asked.json['id']}:{word}", {}).json["state"] == state
        assert post(quiet, f"/v1/requests/{asked.json['id']}:{word}", {}).status == 409
    assert states(quiet, asked.json) == {"cancelled": MORE}


@pytest.mark.parametrize("target,word", [({}, "target"), ({"serials": ["nobody"]}, "nobody"), ({"filter": {}}, "filter"),
                                         ({"serials": ["many-0001"], "group": "x"}, "one of"), ({"filter": {"q": "no-such-"}}, "got 0")])
def test_a_target_that_means_nothing_is_refused_with_the_reason(quiet, target, word):
    refused = post(quiet, "/v1/commands", {"operation": "locate", "target": target})
    assert refused.status == 422 and word in refused.json["detail"], refused


def test_pages_show_each_command_once(quiet):
    asked = post(quiet, "/v1/commands", {"operation": "locate", "target": {"filter": {"q": "many-"}}}).json
    seen, cursor = [], ""
    while cursor is not None:
        page = quiet.rest(f"/v1/commands?request={asked['id']}&limit=60" + (f"&cursor={cursor}" if cursor else ""))
        seen += [c["serial"] for c in page.json["items"]]
        cursor = page.json["next"]
    assert len(seen) == len(set(seen)) == MORE
    one = quiet.rest(f"/v1/commands?device=many-0007&operation=locate&state=approved&since={asked['requested_at']}")
    assert [c["request_id"] for c in one.json["items"]] == [asked["id"]] and one.json["next"] is None
    assert quiet.rest("/v1/commands?device=many-0007&state=succeeded").json["items"] == []


def test_a_scope_sees_its_own_devices_alone(quiet, serial):
    group = post(quiet, "/v1/groups", {"name": f"g {uuid.uuid4()}"}, "ADMIN").json["id"]
    assert quiet.rest(f"/v1/groups/{group}/members/{serial}", "ADMIN", "PUT").status == 204
    secret = post(quiet, "/v1/tokens", {"name": f"t {uuid.uuid4()}", "role": "operator", "groups": [group]}, "ADMIN").json["token"]
    mine, other = ask(quiet, serial), ask(quiet, "many-0001")
    both = post(quiet, "/v1/commands", {"operation": "locate", "target": {"serials": [serial, "many-0002"]}}).json
    assert {c["serial"] for c in quiet.rest("/v1/commands", secret).json["items"]} == {serial}
    assert {r["id"] for r in quiet.rest("/v1/requests", secret).json["items"]} == {mine["request_id"], both["id"]}
    assert quiet.rest(f"/v1/commands/{other['id']}", secret).status == 404
    assert quiet.rest(f"/v1/requests/{both['id']}", secret).json["progress"] == {"approved": 1}
    assert post(quiet, f"/v1/requests/{both['id']}:cancel", {}, secret).status == 403
    assert post(quiet, f"/v1/commands/{other['id']}:cancel", {}, secret).status == 404
    assert post(quiet, "/v1/devices/many-0001/commands", {"operation": "locate"}, secret).status == 404
    assert post(quiet, f"/v1/commands/{mine['id']}:cancel", {}, secret).json["state"] == "cancelled"
    everything = post(quiet, "/v1/commands", {"operation": "locate", "target": {"filter": {"state": "active"}}}, secret)
    assert everything.json["device_count"] == 1


def test_wanted_configuration_travels_as_a_command_and_the_newest_alone(quiet, serial):
    token = quiet.value("SELECT fleet.create_token('configurer', 'config')")
    for interval in 300, 600:
        put = quiet.rest(f"/v1/devices/{serial}/config", token, "PUT", {"config": {"interval_s": interval}}, {"If-Match": "*"})
        assert put.status == 200
    sent = quiet.rest(f"/v1/commands?device={serial}").json["items"]
    assert [(c["operation"], c["state"], c["arguments"]) for c in sent] == [
        ("set-config", "approved", {"version": 2, "config": {"interval_s": 600}}),
        ("set-config", "cancelled", {"version": 1, "config": {"interval_s": 300}})]
    assert post(quiet, f"/v1/devices/{serial}/commands", {"operation": "set-config", "arguments": {"version": 3, "config": {}}}).status == 422


def test_a_decommissioned_device_is_told_nothing_more(quiet, serial):
    command = ask(quiet, serial)
    assert post(quiet, f"/v1/devices/{serial}/decommission", {"reason": "broken"}).status == 200
    assert quiet.rest(f"/v1/commands/{command['id']}").json["state"] == "cancelled"
    assert post(quiet, f"/v1/devices/{serial}/commands", {"operation": "locate"}).status == 409


def test_every_decision_is_in_the_audit_trail(quiet, serial):
    request = request_of(quiet, disable(quiet, serial, reason="stolen")).json
    approve(quiet, request)
    post(quiet, f"/v1/requests/{request['id']}:cancel", {"reason": "found"})

    def told():
        rows = quiet.sql("SELECT action, actor FROM audit.entry WHERE kind = 'command request' AND id = %s ORDER BY number", [request["id"]])
        return rows if len(rows) == 3 else None
    assert wait_for(told, 10, "three entries") == [("requested", "demo operator"), ("approved", "demo approver"), ("cancelled", "demo operator")]


def test_what_was_asked_for_is_signed_once_somebody_signs(quiet, serial):
    """Last: it starts the signer again."""
    waits = ask(quiet, serial)
    assert quiet.rest(f"/v1/commands/{waits['id']}").json["counter"] is None
    quiet.start("signer")
    wait_for(lambda: quiet.rest(f"/v1/commands/{waits['id']}").json["state"] == "waiting", 20, "the command to wait for its device")
