# SPDX-License-Identifier: Apache-2.0
"""The fleet over REST with the real processes: filters and pages, groups, configuration, history, counts."""

import json
import time
import uuid

import pytest

from stack import wait_for

SERIALS = [f"spare-0{n}" for n in range(1, 6)]


def post(stack, path, body, token="OPERATOR"):
    return stack.rest(path, token, "POST", body, {"Idempotency-Key": str(uuid.uuid4())})


def serials(answer):
    assert answer.status == 200, answer
    return [d["serial"] for d in answer.json["items"]]


@pytest.fixture
def group(stack):
    """A static group of the test's own: its number and name."""
    name = f"group {uuid.uuid4()}"
    made = post(stack, "/v1/groups", {"name": name, "reason": "a test"})
    assert made.status == 201, made
    assert made.headers["location"] == f"/v1/groups/{made.json['id']}"
    return made


def test_filters_and_sorts_combine(stack):
    listed = stack.rest("/v1/devices?state=active&q=spare-&silent_for=1s&sort=-serial&limit=2")
    assert serials(listed) in (["spare-05", "spare-04"], [])
    assert serials(stack.rest("/v1/devices?state=banned&q=spare-")) == []
    wrong = stack.rest("/v1/devices?bbox=1,2,3,north")
    assert wrong.status == 422 and "west,south,east,north" in wrong.json["detail"]
    assert stack.rest("/v1/devices?sort=height").status == 422


@pytest.mark.parametrize("sort", ["serial", "-serial", "last_seen", "-last_seen", "battery", "-battery"])
def test_pages_show_each_device_once(stack, sort):
    seen, cursor = [], ""
    while cursor is not None:
        page = stack.rest(f"/v1/devices?q=spare-&limit=2&sort={sort}" + (f"&cursor={cursor}" if cursor else ""))
        seen += serials(page)
        cursor = page.json["next"]
    assert sorted(seen) == SERIALS


def test_a_device_joins_and_leaves_a_group(stack, group):
    members = f"/v1/groups/{group.json['id']}/members"
    assert stack.rest(f"{members}/spare-02?reason=because", "OPERATOR", "PUT").status == 204
    name = group.json["name"].replace(" ", "%20")
    assert serials(stack.rest(f"/v1/devices?group={name}")) == ["spare-02"]
    assert group.json["name"] in stack.rest("/v1/devices/spare-02").json["groups"]
    assert stack.rest(f"{members}/spare-02", "VIEWER", "DELETE").status == 403
    assert stack.rest(f"{members}/spare-02", "OPERATOR", "DELETE").status == 204
    assert serials(stack.rest(f"/v1/devices?group={name}")) == []
    told = stack.rest("/v1/devices/spare-02/history").json["items"]
    assert [e["reason"] for e in told if e["object"] == "group_member" and e["field"] == "device_id"][-1] == "because"


def test_a_group_is_edited_by_whoever_read_it_last(stack, group):
    path = f"/v1/groups/{group.json['id']}"
    etag = group.headers["etag"]
    assert stack.rest(path, "OPERATOR", "PATCH", {"description": "one"}).status == 428
    assert stack.rest(path, "OPERATOR", "PATCH", {"description": "one"}, {"If-Match": etag}).json["description"] == "one"
    assert stack.rest(path, "OPERATOR", "PATCH", {"description": "two"}, {"If-Match": etag}).status == 412
    assert stack.rest(path, "OPERATOR", "DELETE").status == 204
    assert stack.rest(path).status == 404


def test_a_dynamic_group_follows_its_filter(stack):
    name = f"dyn-{uuid.uuid4()}"
    made = post(stack, "/v1/groups", {"name": name, "filter": {"q": "spare-03", "state": "active"}})
    assert made.status == 201 and made.json["members"] is None
    assert serials(stack.rest(f"/v1/devices?group={name}")) == ["spare-03"]
    assert post(stack, "/v1/groups", {"name": name + "x", "filter": {"state": "lost"}}).status == 422


def test_only_the_config_role_wants_and_every_version_is_kept(stack):
    path = "/v1/devices/spare-04/config"
    before = stack.rest(path)
    wish = {"config": {"interval_s": 300, "probes": {"0": "fridge"}}, "reason": "summer"}
    assert stack.rest(path, "OPERATOR", "PUT", wish, {"If-Match": before.headers["etag"]}).status == 403
    token = stack.value("SELECT fleet.create_token('configurer', 'config')")
    put = stack.rest(path, token, "PUT", wish, {"If-Match": before.headers["etag"]})
    assert put.status == 200 and put.json["desired"]["config"] == wish["config"]
    assert stack.rest(path, token, "PUT", wish, {"If-Match": before.headers["etag"]}).status == 412
    versions = stack.rest(path + "/history").json["items"]
    assert (versions[0]["version"], versions[0]["actor"], versions[0]["reason"]) == (1, "configurer", "summer")


def test_tags_find_their_device(stack):
    etag = stack.rest("/v1/devices/spare-05").headers.get("etag", "*")
    answer = stack.rest("/v1/devices/spare-05/tags", "OPERATOR", "PUT", {"tags": ["north", "fridge"]}, {"If-Match": etag})
    assert answer.status == 200 and answer.json["tags"] == ["fridge", "north"]
    assert serials(stack.rest("/v1/devices?tag=north,fridge")) == ["spare-05"]


def test_the_summary_counts_the_fleet_and_says_how_old_it_is(stack):
    def counted():
        answer = stack.rest("/v1/fleet/summary")
        assert answer.status == 200 and answer.json["age_s"] >= 0
        return answer.json if answer.json["total"] >= len(SERIALS) else None
    told = wait_for(counted, 30, "counts that are younger than the devices")
    assert sum(told["by_state"].values()) == told["total"]


@pytest.mark.parametrize("token", ["scoped"])
def test_a_scoped_token_sees_its_group_alone(stack, group, token):
    number = group.json["id"]
    assert stack.rest(f"/v1/groups/{number}/members/spare-01", "OPERATOR", "PUT").status == 204
    secret = post(stack, "/v1/tokens", {"name": token, "role": "operator", "groups": [number]}, "ADMIN").json["token"]
    assert serials(stack.rest("/v1/devices", secret)) == ["spare-01"]
    assert stack.rest("/v1/fleet/summary", secret).json["total"] == 1
    assert [g["id"] for g in stack.rest("/v1/groups", secret).json["items"]] == [number]
    for path in ("config", "config/history", "history"):
        assert stack.rest(f"/v1/devices/spare-02/{path}", secret).status == 404
    assert stack.rest(f"/v1/groups/{number}/members/spare-02", secret, "PUT").status == 403
    assert stack.rest(f"/v1/groups/{number}/members/spare-02", "OPERATOR", "PUT").status == 403


def import_rows(stack, rows, kind="application/x-ndjson", token="OPERATOR"):
    body = rows if isinstance(rows, bytes) else "\n".join(json.dumps(r) for r in rows).encode()
    return stack.rest("/v1/devices:import?reason=delivery", token, "POST", body, {"Content-Type": kind})


def finished(stack, operation, deadline=60):
    def done():
        told = stack.rest(operation)
        assert told.status == 200, told
        return told.json if told.json["state"] == "done" else None
    return wait_for(done, deadline, "the operation to be done")


def device(n):
    return {"serial": f"import-{n:06}", "manufacturer": "Maker", "model": "Import", "tags": ["new"]}


def test_an_import_has_a_result_for_each_row(stack):
    taken = import_rows(stack, [device(1), {"serial": "bad one"}, device(1)])
    assert taken.status == 202, taken
    told = finished(stack, taken.headers["location"])
    assert (told["total"], told["succeeded"], told["failed"]) == (3, 2, 1)
    rows = stack.rest(told["rows"]).json["items"]
    assert [r["result"] for r in rows] == ["created", "failed", "unchanged"]
    assert stack.rest(told["rows"] + "?result=failed").json["items"][0]["line"] == 2
    assert stack.rest("/v1/devices/import-000001").json["model"]["name"] == "Import"
    assert import_rows(stack, b"x", "application/json").status == 415
    assert import_rows(stack, b"\xff", "text/csv").status == 400
    assert import_rows(stack, b"serial,colour\na,b\n", "text/csv").status == 422
    assert import_rows(stack, [device(1)], token="VIEWER").status == 403


def test_an_export_imports_without_a_change(stack):
    exported = stack.rest("/v1/devices:export?format=csv&q=spare-")
    assert exported.status == 200 and exported.headers["content-type"].startswith("text/csv")
    lines = exported.body.decode().splitlines()
    assert [line.split(",")[0] for line in lines] == ["serial", *SERIALS]
    told = finished(stack, import_rows(stack, exported.body, "text/csv").headers["location"])
    assert (told["succeeded"], told["failed"]) == (len(SERIALS), 0)
    objects = [json.loads(line) for line in stack.rest("/v1/devices:export?q=spare-").body.splitlines()]
    assert [o["serial"] for o in objects] == SERIALS


def test_an_import_of_100000_rows_goes_on_where_it_was_killed(own_stack):
    """SIGKILL three times; every row has one result, every device is there once, the bad rows stopped nobody."""
    rows = [{"serial": f"bad one {n}"} if n % 1000 == 7 else device(n) for n in range(100_000)]
    rows[99_999] = rows[0]
    began = time.monotonic()
    operation = import_rows(own_stack, rows).headers["location"]
    at = 0
    for _ in range(3):
        wait_for(lambda: own_stack.rest(operation).json["done"] > at, 60, "more rows to be done")
        own_stack.kill("api")
        at = own_stack.value("SELECT succeeded + failed FROM fleet.operation")
        assert at < 100_000, "killed too late"
        own_stack.start("api")
    told = finished(own_stack, operation, 300)
    print(f"100,000 rows, three kills: {time.monotonic() - began:.1f} s")
    assert (told["total"], told["succeeded"], told["failed"]) == (100_000, 99_900, 100)
    assert own_stack.sql("SELECT result, count(*) FROM fleet.operation_row GROUP BY 1 ORDER BY 1") == [
        ("created", 99_899), ("failed", 100), ("unchanged", 1)]
    assert own_stack.value("SELECT count(*) FROM fleet.device WHERE serial LIKE 'import-%'") == 99_899
    for field in ("serial", "state", "model", "tags"):
        assert own_stack.value("SELECT count(*) FROM fleet.history WHERE object = 'device' AND key LIKE 'import-%%' AND field = %s",
                               [field]) == 99_899
