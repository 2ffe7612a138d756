# SPDX-License-Identifier: Apache-2.0
"""Interchange of equipment monitoring data, cce-interop 0.8.1: what others send comes back equal, in whatever order and
however often it came, and what devices measured is given in that form."""

import copy
import gzip
import itertools
import json
import random
import time
from datetime import datetime, timedelta, timezone

import pytest

from cce_interop import FILES, checked, real
from stack import PATIENCE

numbers = itertools.count(1)
START = (datetime.now(timezone.utc) - timedelta(days=2)).replace(hour=0, minute=0, second=0, microsecond=0)


def abst(minutes):
    return (START + timedelta(minutes=minutes)).strftime("%Y%m%dT%H%M%SZ")


def equipment(serial, records):
    facts = dict.fromkeys(("CID", "ADOP", "AMFR", "AMOD", "APQS", "ASER", "EDOP", "EPQS"))
    logger = dict.fromkeys(("LDOP", "LMFR", "LMOD", "LPQS", "LSER"), "L-1")
    return {**facts, **logger, "LSV": "1.0", "EMSV": "2.1", "EMFR": "Acme", "EMOD": "EMS-1", "ESER": serial, "X-OURS": {"kept": [1.50, None]},
            "records": records}


def transfer(*reports, kind="ems"):
    return {"meta": {"schemaVersion": "0.8.1", "transferType": kind, "transferId": f"t-{next(numbers)}", "transferSrc": "https://ems.example",
                     "transferredAt": "2026-11-22T08:00:00Z"}, "data": list(reports)}


def record(minutes, tvc, **more):
    return {"ABST": abst(minutes), "TVC": tvc, "TAMB": 21.5, "CMPR": 900, "DORV": 0, "SVA": 900, "BLOG": 400.1, "BEMD": 400.1, "ALRM": None,
            "EERR": None, "LERR": None, **more}


def post(stack, body, token="OPERATOR"):
    return stack.rest("/v1/ems", token, "POST", body)


def post_gzip(stack, bytes_, coding="gzip", path="/v1/ems"):
    return stack.rest(path, "OPERATOR", "POST", bytes_, {"Content-Type": "application/json", "Content-Encoding": coding})


def given(stack, serial, query=""):
    return stack.rest(f"/v1/devices/{serial}/cce{query}")


def readings(stack, serial):
    return stack.sql("SELECT ts, probe, temperature_c::text, door_open, mains_power FROM telemetry.reading JOIN fleet.device USING (device_id) "
                     "WHERE serial = %s ORDER BY ts, probe", [serial])


def test_a_transfer_comes_back_equal_and_its_temperatures_are_readings(stack):
    serial = f"ems-{next(numbers)}"
    report = equipment(serial, [record(0, 4.5, ALRM="HEAT DOOR", DORV=30), record(15, None, LERR="E1", TFRZ=-20.25), record(30, 4.123456789, SVA=0)])
    answer = post(stack, transfer(report))
    assert answer.status == 200 and (answer.json["records"], answer.json["new_records"], answer.json["new_readings"]) == (3, 3, 6), answer
    back = checked(given(stack, serial).json)
    assert back["data"] == [report] and back["meta"]["transferType"] == "ems"
    assert [(p, c, d, m) for _, p, c, d, m in readings(stack, serial)] == [
        (0, "4.5", True, True), (1, "21.5", None, None), (1, "21.5", None, None), (2, "-20.25", None, None), (0, "4.123457", False, False),
        (1, "21.5", None, None)]


def test_duplicates_and_disorder_change_nothing(stack):
    records = [record(15 * n, 4 + n / 10) for n in range(40)]
    ends = []
    for order in (lambda r: [r], lambda r: [r[::-1]], lambda r: [r[20:], r[:25], r[10:30]], lambda r: [random.Random(7).sample(r, 40)] * 2):
        serial = f"ems-{next(numbers)}"
        for part in order(records):
            assert post(stack, transfer(equipment(serial, part))).status == 200
        ends.append((given(stack, serial).json["data"][0]["records"], [r[1:] for r in readings(stack, serial)]))
    assert ends[0][0] == records and all(end == ends[0] for end in ends)


def test_a_transfer_is_taken_whole_or_not_at_all(stack):
    good, bad = equipment(f"ems-{next(numbers)}", [record(0, 4)]), equipment("ems-bad", [{**record(0, 4), "ABST": "2026-11-22T08:00:00Z"}])
    for body, says in ((transfer(good, bad), "ABST"), (transfer(good, equipment("no serial", [record(0, 4)])), "ESER"),
                       (transfer(good, equipment("ems-x", [])), "records"), ({"meta": {}, "data": [good]}, "meta"), ({"data": []}, "meta"),
                       (transfer(good, equipment("ems-x", [record(60 * 24 * 9, 4)])), "has come")):
        answer = post(stack, body)
        assert answer.status == 422 and says in answer.json["detail"], answer
    assert given(stack, good["ESER"]).status == 404
    assert post(stack, transfer(equipment("spare-01", [record(0, 4)]))).status == 409, "a tracker speaks for itself"
    assert post(stack, transfer(good), "VIEWER").status == 403


def test_a_token_with_a_scope_adds_to_nothing_beyond_it(stack):
    group = stack.value("INSERT INTO fleet.device_group (name) VALUES (%s) RETURNING group_id", [f"ems {next(numbers)}"])
    token = stack.value("SELECT fleet.create_token(%s, 'operator')", [f"ems {group}"])
    stack.sql("UPDATE fleet.token SET groups = ARRAY[%s] WHERE name = %s", [group, f"ems {group}"])
    theirs = f"ems-{next(numbers)}"
    assert post(stack, transfer(equipment(theirs, [record(0, 4)]))).status == 200
    of_theirs, of_nobody = (post(stack, transfer(equipment(s, [record(15, 5)])), token) for s in (theirs, "ems-nobody"))
    assert of_theirs.status == of_nobody.status == 422
    assert of_theirs.json["detail"].replace(theirs, "") == of_nobody.json["detail"].replace("ems-nobody", "")
    assert len(given(stack, theirs).json["data"][0]["records"]) == 1


def test_a_tracker_is_given_as_rtm_and_by_time_range(stack):
    serial = f"rtm-{next(numbers)}"
    device = stack.value("SELECT fleet.register_device(%s, 'Acme', 'CT-1', 'B')", [serial])
    stack.sql("SELECT telemetry.ensure_partition(%s), telemetry.ensure_partition(%s)", [START, START + timedelta(hours=2)])
    for n, c in enumerate((4.5, 5.25, -72.5, 6)):
        stack.sql("INSERT INTO telemetry.reading (ts, received_at, device_id, seq, epoch, probe, temperature_c) VALUES (%s, now(), %s, %s, 0, 0, %s)",
                  [START + timedelta(minutes=10 * n), device, n, c])
    whole = checked(given(stack, serial).json)
    records = whole["data"][0]["records"]
    assert whole["meta"]["transferType"] == "rtm" and [r["ABST"] for r in records] == [abst(10 * n) for n in range(4)]
    assert [r["TVC"] for r in records] == [4.5, 5.25, None, 6]
    assert (records[2]["temperature_c"], records[2]["EERR"]) == (-72.5, "TVC-RANGE"), "colder than TVC has room for"
    part = given(stack, serial, f"?from={(START + timedelta(minutes=10)).isoformat().replace('+00:00', 'Z')}&limit=2").json
    assert [r["TVC"] for r in part["data"][0]["records"]] == [5.25, None] and part["meta"]["lastRecordAt"].startswith(
        (START + timedelta(minutes=20)).isoformat()[:19])


@real
@pytest.mark.parametrize("name", ["mains_normal", "power_outage", "solar_normal"])
def test_simulated_equipment_of_others_comes_back_equal(stack, name):
    stack.sql("UPDATE telemetry.setting SET retention_days = 3650")
    serial, records = f"sim-{name}", json.loads((FILES / f"{name}.json").read_text())["records"]
    sent = transfer(equipment(serial, records))
    checked(copy.deepcopy(sent))
    assert post(stack, sent).status == 200
    assert checked(given(stack, serial).json)["data"] == sent["data"]
    assert [float(c) for _, p, c, *_ in readings(stack, serial) if p == 0] == [r["TVC"] for r in records]


def test_a_transfer_may_come_compressed(stack):
    serial = f"ems-{next(numbers)}"
    report = equipment(serial, [record(15 * n, 4) for n in range(50)])
    answer = post_gzip(stack, gzip.compress(json.dumps(transfer(report)).encode()))
    assert answer.status == 200 and answer.json["new_records"] == 50, answer
    assert given(stack, serial).json["data"] == [report]


def test_what_is_compressed_wrongly_or_too_far_is_refused(stack):
    whole = gzip.compress(json.dumps(transfer(equipment(f"ems-{next(numbers)}", [record(0, 4)]))).encode())
    bomb = gzip.compress(b" " * 900_000_000, 9)
    assert len(bomb) < 1 << 20
    before = time.monotonic()
    answer = post_gzip(stack, bomb)
    assert answer.status == 413 and "expected at most 1048576 bytes when inflated" in answer.json["detail"], answer
    assert time.monotonic() - before < 2 * PATIENCE, "it is not inflated as far as it goes"
    for bytes_, coding, path, status, why in ((whole[:-9], "gzip", "/v1/ems", 400, "expected gzip as Content-Encoding says"),
                                              (b"{}", "gzip", "/v1/ems", 400, "expected gzip as Content-Encoding says"),
                                              (whole + whole, "gzip", "/v1/ems", 400, "expected nothing after the gzip member"),
                                              (whole, "br", "/v1/ems", 415, "Content-Encoding: expected gzip or none, got br"),
                                              (whole, "gzip, gzip", "/v1/ems", 415, "Content-Encoding: expected gzip or none"),
                                              (whole, "gzip", "/v1/devices", 415, "Content-Encoding: expected none, got gzip")):
        answer = post_gzip(stack, bytes_, coding, path)
        assert answer.status == status and why in answer.json["detail"], (coding, path, answer)


@pytest.mark.parametrize("number", ["1e-999999", "1e999999", "-1E+999999", "1e-16384", "9" * 140000, "0." + "0" * 17000 + "1"], ids=lambda n: n[:12])
def test_a_number_that_nobody_can_keep_is_refused_by_name(stack, number):
    body = json.dumps(transfer(equipment(f"ems-{next(numbers)}", [record(0, 4711)]))).replace("4711", number)
    answer = stack.rest("/v1/ems", "OPERATOR", "POST", body, {"Content-Type": "application/json"})
    assert answer.status == 422, answer
    assert answer.json["detail"].startswith("TVC: byte ") and "expected a number of at most 400 characters and an exponent of -400 to 400, got " + number[:40] in answer.json["detail"]


@pytest.mark.parametrize("number", ["1e300", "1e-300", "-1e400", "0.1e-399"])
def test_a_number_far_from_any_temperature_is_kept_and_no_reading(stack, number):
    serial = f"ems-{next(numbers)}"
    body = json.dumps(transfer(equipment(serial, [record(0, 4711)]))).replace("4711", number)
    answer = stack.rest("/v1/ems", "OPERATOR", "POST", body, {"Content-Type": "application/json"})
    assert (answer.status, answer.json.get("new_records")) == (200, 1) if "400" not in number else answer.status < 500, answer


def test_numbers_of_other_bodies_are_bounded_too(stack):
    answer = stack.rest("/v1/devices/spare-01/config", "OPERATOR", "PUT", '{"config":{"x":1e-999999},"reason":"test"}', {"Content-Type": "application/json", "If-Match": "*"})
    assert answer.status == 422 and answer.json["detail"].startswith("x: byte "), answer
