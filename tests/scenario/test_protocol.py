# SPDX-License-Identifier: Apache-2.0
"""docs/protocol.md does not lie: its packs and statuses are sent, and the receipts, the stored readings, what REST tells and
the reasons for quarantine are those that it prints."""

import json
import re
import subprocess

import cbor2
import pytest

from device import Device, now
from stack import ROOT, wait_for

PAGE = (ROOT / "docs" / "protocol.md").read_text()
BLOCKS = re.findall(r"^```\w+ ([\w-]+)=([\w-]+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
LABELS = {"bn": -2, "bt": -3, "bu": -4, "bv": -5, "bs": -6, "bver": -1, "n": 0, "u": 1, "v": 2, "vs": 3, "vb": 4, "s": 5, "t": 6}
PRINTED_TIME = 1790000000


def block(kind, name):
    return next(text for k, n, text in BLOCKS if (k, n) == (kind, name))


def recent(text, start):
    """The text with the times that the page prints moved to the present."""
    return re.sub(r"17900\d{5}", lambda m: str(int(m[0]) - PRINTED_TIME + start), text)


def rows(stack, serial):
    return stack.sql("""select epoch, seq, probe, round(temperature_c::numeric, 2)::float, battery_pct, door_open, extra,
        extract(epoch from ts)::bigint from telemetry.reading join fleet.device using (device_id) where serial = %s
        order by epoch, seq, probe""", [serial])


def gaps(stack, serial):
    return stack.sql("""select epoch, seq_from, missing::text, lost::text, closed_at is not null from telemetry.gap
        join fleet.device using (device_id) where serial = %s order by epoch, seq_from""", [serial])


def test_conversation_of_the_page_has_the_receipts_that_it_prints(stack):
    start = now() - 1200
    with Device(stack, "spare-01") as device:
        device.subscribe(device.topic("receipt"))
        for kind, name, text in BLOCKS:
            if kind == "pack" and name != "many-things":
                if name == "question":
                    device.send_for_receipt(recent(block("pack", "many-things"), start))
                    device.received.clear()
                device.send(recent(text, start))
            elif kind == "receipt":
                assert wait_for(lambda: device.receipts, 10, f"receipt {name}")[-1] == json.loads(text), name
                device.received.clear()
    assert rows(stack, "spare-01") == [
        (0, 0, 0, 4.5, None, None, None, start),
        (0, 1, 0, 4.75, None, None, None, start + 60),
        (0, 2, 0, 5.0, 87, None, None, start + 120),
        (0, 4, 0, 4.8, None, None, None, start + 240),
        (0, 5, 0, 4.9, None, None, None, start + 300),
        (0, 6, 0, 5.1, None, True, {"co2": {"u": "ppm", "v": 412}}, start + 600),
        (0, 6, 1, -70.0, None, None, None, start + 600),
        (0, 9, 0, 5.1, None, None, None, start + 870),
        (1, 0, 0, 5.2, None, None, None, start + 900),
    ]
    assert [gap[2:] for gap in gaps(stack, "spare-01")] == [("{}", "{[3,4)}", True), ("{}", "{[7,9)}", True)]


def test_reference_tracker_says_lost_for_all_that_is_asked_of_an_epoch_it_has_left(stack, tmp_path):
    serial, start = "left-01", now() - 1200
    stack.enrol(serial)
    with Device(stack, serial) as device:
        device.subscribe(device.topic("receipt"))
        for seq in (0, 4, 7):  # each stored before the next one, or another hole would show first
            receipt = device.send_for_receipt([{"bt": start + seq, "n": "seq", "v": seq}, {"n": "temp", "v": 4.5}])
    assert receipt == {"epoch": 0, "through": 7, "missing": [[1, 3], [5, 6]]}
    (tmp_path / "serials").write_text(f"{serial}\n")
    tracker = stack.tracker_start("run", "--serials", tmp_path / "serials", "--epoch", "1", "--interval", "0.2",
                                  stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: gaps(stack, serial) == [(0, 1, "{}", "{[1,4)}", True), (0, 5, "{}", "{[5,7)}", True)], 40,
                 "the answer: the ledger asks again after 10 s")
    finally:
        tracker.kill()
        tracker.wait()


def test_bytes_of_the_cbor_example_are_the_json_example_and_are_stored_alike(stack):
    dump = re.findall(r"^((?:[0-9a-f]{2,} )+(?= )|[0-9a-f]{2,}(?= ))", block("cbor", "first"), re.MULTILINE)
    payload = bytes.fromhex("".join(dump).replace(" ", ""))
    named = json.loads(block("pack", "first"))
    assert cbor2.loads(payload) == [{LABELS[k]: v for k, v in record.items()} for record in named]
    assert f"{len(payload)} bytes instead of {len(json.dumps(named, separators=(',', ':')))}" in PAGE
    start = now() - 1200
    payload = payload.replace(PRINTED_TIME.to_bytes(4, "big"), start.to_bytes(4, "big"))
    with Device(stack, "spare-02") as device:
        device.subscribe(device.topic("receipt"))
        receipt = device.send_for_receipt(payload, content_type="application/senml+cbor")
    assert receipt == json.loads(block("receipt", "first"))
    assert [row[3:5] for row in rows(stack, "spare-02")] == [(4.5, None), (4.75, None), (5.0, 87)]


def test_statuses_of_the_page_are_what_rest_tells(stack):
    module = json.loads(block("status", "first"))["module"]
    registered = {"module": {"imei": module["imei"]}, "sim": {"iccid": module["iccid"], "imsi": module["imsi"]}}
    assert stack.rest("/v1/devices/spare-03", "OPERATOR", "PATCH", registered, {"If-Match": "*"}).status == 200
    with Device(stack, "spare-03") as device:
        for name in ("first", "other-module"):
            said = json.loads(block("status", name))
            device.publish(device.topic("status"), block("status", name), content_type="application/json")
            wait_for(lambda s=said: (stack.rest("/v1/devices/spare-03/state").json["reported"] or {}).get("uptime_s") == s["uptime"],
                     10, f"status {name}")
            body = stack.rest("/v1/devices/spare-03").json
            assert (body["mcu_state"], body["reported"]["boot"], body["firmware"]) == (said["mcu"], 7, "1.4.2")
            assert {key: body["reported"][key] for key in ("firmware", "module")} == {key: said[key] for key in ("firmware", "module")}
            assert body["reported"]["config_version"] == said["config"]["version"]
            assert body["identity_mismatch"] == ([] if name == "first" else json.loads(block("mismatch", name)))
        device.publish(device.topic("status"), block("status", "first"))
    wait_for(lambda: stack.metrics()['coldfleet_ingest_statuses_total{outcome="older"}'], 10, "the older one to be passed over")
    assert stack.rest("/v1/devices/spare-03/state").json["reported"]["uptime_s"] == 13


@pytest.mark.parametrize("leaf, reason, text", [("status" if kind == "status-quarantine" else "telemetry", name, text.strip())
                                                for kind, name, text in BLOCKS if kind.endswith("quarantine")])
def test_what_the_page_calls_unacceptable_is_quarantined_with_that_reason(stack, leaf, reason, text):
    with Device(stack, "spare-03") as device:
        device.publish(device.topic(leaf), text)
    found = wait_for(lambda: stack.sql("select reason, detail from telemetry.quarantine where payload = %s", [text.encode()]),
                     10, "the message in quarantine")
    assert found[0][0] == reason and found[0][1]


def test_repeated_name_at_the_same_time_begins_a_further_sample(stack):
    with Device(stack, "spare-04") as device:
        device.subscribe(device.topic("receipt"))
        pack = [{"bt": now(), "n": "seq", "v": 0}, {"n": "temp", "v": 4.5}, {"n": "temp", "v": 4.6}]
        assert device.send_for_receipt(pack)["through"] == 1
        assert device.send_for_receipt(pack)["through"] == 1
    assert [row[1:4] for row in rows(stack, "spare-04")] == [(0, 0, 4.5), (1, 0, 4.6)]


def test_tracker_without_a_clock_says_how_old_a_sample_is(stack):
    with Device(stack, "spare-05") as device:
        device.subscribe(device.topic("receipt"))
        device.send_for_receipt([{"n": "temp", "v": 4.5, "t": -60}])
    age = stack.value("""select extract(epoch from received_at - ts) from telemetry.reading join fleet.device using (device_id)
        where serial = 'spare-05'""")
    assert age == 60


def test_same_sample_with_other_values_goes_to_quarantine_and_the_first_stays(stack):
    at = now()
    with Device(stack, "spare-05") as device:
        device.subscribe(device.topic("receipt"))
        for value in (4.5, 9.5):
            device.send_for_receipt([{"bt": at, "n": "seq", "v": 0}, {"n": "temp", "v": value}])
    wait_for(lambda: stack.sql("select 1 from telemetry.quarantine where reason = 'conflict'"), 10, "the conflict in quarantine")
    assert [row[3] for row in rows(stack, "spare-05") if row[1] == 0] == [4.5]
