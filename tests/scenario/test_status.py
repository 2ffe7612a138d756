# SPDX-License-Identifier: Apache-2.0
"""What a tracker says about itself comes through the real broker into the database and out of REST: the latest, whatever the
order and however often; nothing is lost when ingest is killed; what cannot be read is kept whole and stops nothing."""

import json
import os
import random
import re
import subprocess
import time

import pytest

from ingest_helpers import JSON, Ingest, Line, senml
from stack import BIN, wait_for

NOW = round(time.time())
IMEI, ICCID = "490154203237518", "8949000000000000001"


def status(boot=1, uptime=10, version="1.4.2", mcu="running", module=None, config=None, **more):
    return {"boot": boot, "uptime": uptime, "mcu": mcu, "module": module, "config": config or {"version": 0},
            "firmware": {"running": "a", "slots": {"a": version, "b": None}}, **more}


@pytest.fixture(scope="module")
def line(stack):
    with Line(stack) as line:
        yield line


def topic(device):
    return f"cf/v1/{device.serial}/status"


def tell(device, *bodies, content_type=None):
    for body in bodies:
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        device.line.publish(topic(device), payload, content_type)


def counted(line, outcome):
    return line.metric(f'statuses_total{{outcome="{outcome}"}}')


def shown(device):
    return device.line.stack.rest(f"/v1/devices/{device.serial}").json


def latest(device):
    """(boot, uptime) of the status that is kept."""
    rows = device.line.stack.sql("SELECT boot, uptime_s FROM telemetry.device_status WHERE device_id = %s", [device.id])
    return rows[0] if rows else None


# What is shown


def test_status_is_shown_with_firmware_module_sim_and_state_of_the_controller(line):
    device, before = line.device(), counted(line, "stored")
    assert (shown(device)["reported"], shown(device)["mcu_state"], shown(device)["firmware"]) == (None, None, None)
    module = {"imei": IMEI, "iccid": ICCID, "imsi": "262010000000001", "model": "BG95-M3", "firmware": "BG95M3LAR02A04"}
    tell(device, status(7, 12.5, "2.0.1", "disabled", module, clock=round(time.time()) + 0.5), content_type="application/json")
    wait_for(lambda: latest(device), 20, "the status")
    body = shown(device)
    assert (body["firmware"], body["mcu_state"], body["identity_mismatch"]) == ("2.0.1", "disabled", [])
    said = body["reported"]
    assert (said["boot"], said["uptime_s"], said["module"]) == (7, 12.5, module)
    assert said["firmware"] == {"running": "a", "slots": {"a": "2.0.1", "b": None}}
    assert said["clock"].endswith(".5Z") and body["latest"]["received_at"] == said["received_at"]
    state = line.stack.rest(f"/v1/devices/{device.serial}/state").json
    assert (state["mcu_state"], state["reported"]) == ("disabled", said)
    assert abs(body["latest"]["clock_offset_s"]) < 60
    found = line.stack.rest("/v1/devices?firmware=2.0.1").json["items"]
    assert [item["serial"] for item in found] == [device.serial]
    wait_for(lambda: counted(line, "stored") == before + 1, 10, "it to be counted")


def test_other_module_than_the_registered_one_is_told_with_what_was_expected_until_it_is_put_right(line):
    device = line.device()
    change = {"module": {"imei": "356938035643809"}, "sim": {"iccid": "8949000000000000042"}}
    assert line.stack.rest(f"/v1/devices/{device.serial}", "OPERATOR", "PATCH", change, {"If-Match": "*"}).status == 200
    tell(device, status(module={"imei": "353490061234569", "iccid": "8949000000000000042"}))
    wait_for(lambda: latest(device), 20, "the status")
    assert shown(device)["identity_mismatch"] == [{"field": "imei", "expected_by": "device", "expected": "356938035643809",
                                                   "reported": "353490061234569"}]
    assert shown(device)["state"] == "active", "what is told here keeps nobody out"
    change = {"module": {"imei": "353490061234569"}}
    assert line.stack.rest(f"/v1/devices/{device.serial}", "OPERATOR", "PATCH", change, {"If-Match": "*"}).status == 200
    assert shown(device)["identity_mismatch"] == []


def test_configuration_in_force_is_compared_with_the_desired_one(line):
    device = line.device()
    path = f"/v1/devices/{device.serial}/config"
    for version, seconds in enumerate((600, 300)):
        answer = line.stack.rest(path, "ADMIN", "PUT", {"config": {"interval_s": seconds}}, {"If-Match": f'"{version}"'})
        assert answer.status == 200
    tell(device, status(config={"version": 1}))
    wait_for(lambda: latest(device), 20, "the status")
    body = line.stack.rest(path).json
    assert (body["reported"]["version"], body["difference"]) == (1, {"interval_s": {"desired": 300, "reported": 600}})
    tell(device, status(uptime=11, config={"version": 2, "values": {"interval_s": 300}}))
    wait_for(lambda: line.stack.rest(path).json["difference"] == {}, 20, "the new version")


def test_changes_are_in_the_history_of_the_device_and_repetitions_are_not(line):
    device = line.device()
    for body in (status(1, 1), status(1, 2), status(1, 3, mcu="disabled"), status(2, 1, "1.5.0", "disabled"), status(2, 2, "1.5.0", "disabled")):
        tell(device, body)
        wait_for(lambda b=body: latest(device) == (b["boot"], b["uptime"]), 20, "the status")
    items = line.stack.rest(f"/v1/devices/{device.serial}/history").json["items"][::-1]
    told = [(i["object"], i["field"], i["new"], i["reason"]) for i in items if i["actor"] == "@device" and i["field"] in ("mcu", "firmware")]
    slots = [{"running": "a", "slots": {"a": version, "b": None}} for version in ("1.4.2", "1.5.0")]
    assert told == [("status", "firmware", slots[0], "told at boot 1"), ("status", "mcu", "running", "told at boot 1"),
                    ("device", "firmware", "1.4.2", "told by its status"), ("status", "mcu", "disabled", "told while running, boot 1"),
                    ("status", "firmware", slots[1], "told at boot 2"), ("device", "firmware", "1.5.0", "told by its status")]


# Any order, any number of times


@pytest.mark.parametrize("seed", range(3))
def test_duplicated_and_reordered_statuses_end_with_the_latest_boot_and_the_longest_time_since(line, seed):
    devices = [line.device("mixed") for _ in range(5)]
    bodies = [status(boot, uptime, f"{boot}.{uptime}", clock=NOW - 50 * boot) for boot in (1, 2, 3) for uptime in (1, 20, 300)]
    told = [(device, body) for device in devices for body in bodies + bodies[::2]]
    random.Random(seed).shuffle(told)
    messages = line.metric("messages_total")
    for device, body in told:
        tell(device, body)
    wait_for(lambda: line.metric("messages_total") - messages == len(told), 20, "all of them")
    assert [(latest(device), shown(device)["firmware"]) for device in devices] == [((3, 300), "3.300")] * 5


def test_statuses_of_one_batch_are_stored_beside_its_readings(line):
    devices, before = [line.device("batch") for _ in range(20)], counted(line, "older")
    with line.together():
        for device in devices:
            tell(device, status(2, 5, "2.5"))
            device.publish(senml([4.5], seq=0))
            tell(device, status(2, 4, "2.4"), status(2, 5, "2.5"))
    wait_for(lambda: all(latest(device) == (2, 5) and device.count() == 1 for device in devices), 20, "all of them")
    wait_for(lambda: counted(line, "older") - before >= 20, 20, "the repetitions to be counted")


# Nothing is lost


def test_ingest_killed_between_receipt_and_commit_loses_no_status(line):
    devices = [line.device("killed") for _ in range(20)]
    line.stack.stop("ingest")
    blocker = line.stack.connect()
    try:
        blocker.execute("BEGIN; LOCK TABLE telemetry.device_status IN ACCESS EXCLUSIVE MODE")
        for device in devices:
            tell(device, status(3, 1, "3.1"))
        with Ingest(line.stack, "ingest.log_level=debug") as ingest:
            wait_for(lambda: "COMMITTING" in re.findall(r"lane-\d+: \w+ -> (\w+)", ingest.log_file.read_text())[-1:], 20, "a commit")
            ingest.kill()
        blocker.close()
        with Ingest(line.stack) as again:
            wait_for(lambda: again.metric("messages_total") == 20, 20, "the broker to deliver all of them again: none was acknowledged")
        assert [latest(device) for device in devices] == [(3, 1)] * 20
    finally:
        blocker.close()
        line.stack.start("ingest")


# What cannot be read

GOOD = json.dumps(status()).encode()
BAD = {
    "empty": (b"", "empty", "expected a status"),
    "text": (b"hello", "syntax", "expected a JSON object"),
    "nul": (b"\0", "syntax", "expected a JSON object"),
    "cut-off": (GOOD[:-9], "syntax", "expected a JSON object"),
    "array": (b"[1]", "syntax", "got an array"),
    "twice": (b'{"boot":1,"boot":1}', "syntax", "duplicate"),
    "deep": (b"[" * 4000, "syntax", "expected a JSON object"),
    "large": (GOOD + b" " * 4096, "too-large", "expected at most 4096"),
    "huge": (b" " * 2**20, "too-large", "1048576 bytes"),
    "missing": (b"{}", "content", "boot: expected it"),
    "unknown": (json.dumps(status(colour="red")).encode(), "content", "colour: no such member"),
    "boot-negative": (json.dumps(status(boot=-1)).encode(), "content", "boot: expected an integer from 0"),
    "boot-too-large": (json.dumps(status(boot=2**31)).encode(), "content", "got 2147483648"),
    "version-with-comma": (json.dumps(status(version="1,2")).encode(), "content", "firmware.slots.a: expected"),
    "imei-short": (json.dumps(status(module={"imei": "4901"})).encode(), "content", "module.imei: expected 15 digits, got '4901'"),
    "state": (json.dumps(status(mcu="$$';DROP TABLE fleet.device")).encode(), "content", "mcu: expected"),
    "not-utf8": (b'{"boot":"\xff"}', "syntax", "0xff"),
    "u0000": (b'{"mcu":"a\\u0000"}', "syntax", "NUL"),
}


def test_each_bad_status_is_quarantined_whole_and_its_neighbours_are_stored(line):
    good, bad = line.device("good"), {case: line.device("bad") for case in BAD}
    before, drops = counted(line, "refused"), line.metric("lane_drops_total")
    with line.together():
        for i, (case, device) in enumerate(bad.items()):
            tell(good, status(1, i))
            tell(device, BAD[case][0])
            good.publish(senml([i], seq=i, start=NOW - 1000 + i))
    wait_for(lambda: counted(line, "refused") - before == len(BAD), 20, "all of them to be refused")
    wait_for(lambda: good.count() == len(BAD) and latest(good) == (1, len(BAD) - 1), 20, "the neighbours")
    for case, device in bad.items():
        (reason, detail, payload, _type, seen), = line.quarantine(topic(device))
        assert (reason, payload, seen) == (BAD[case][1], BAD[case][0], 1), case
        assert BAD[case][2] in detail, case
        assert latest(device) is None
    assert line.metric("lane_drops_total") == drops


def test_other_content_type_is_quarantined_with_it(line):
    device = line.device()
    tell(device, GOOD, content_type=JSON)
    (reason, detail, _payload, kind, _seen), = wait_for(lambda: line.quarantine(topic(device)), 20, "quarantine")
    assert (reason, kind) == ("syntax", JSON) and "expected application/json" in detail


def test_every_one_of_300_damaged_statuses_is_stored_or_quarantined_byte_for_byte(line):
    rng, device, messages = random.Random(7), line.device("damaged"), line.metric("messages_total")
    payloads = set()
    while len(payloads) < 300:
        data = bytearray(GOOD)
        for _ in range(rng.randrange(1, 4)):
            at, to = sorted(rng.randrange(len(data)) for _ in range(2))
            data[at:to] = rng.choice([b"", data[at:to] * 2, rng.randbytes(to - at)])
            data = data or bytearray(b"\xff")
        payloads.add(bytes(data))
    for payload in payloads:
        line.publisher.send(topic(device), payload)
    wait_for(lambda: line.metric("messages_total") - messages == len(payloads), 20, "all of them")
    kept = {payload for _reason, _detail, payload, *_ in line.quarantine(topic(device))}
    assert kept <= payloads and len(kept) > 200


def test_status_of_an_unknown_device_is_stored_by_a_replay_and_an_old_one_overwrites_nothing(line):
    serial = "status-late"
    line.publish(f"cf/v1/{serial}/status", json.dumps(status(5, 1, "5.1")).encode())
    number = wait_for(lambda: line.stack.sql("SELECT id FROM telemetry.quarantine WHERE topic = %s AND reason = 'unknown-device'",
                                             [f"cf/v1/{serial}/status"]), 20, "quarantine")[0][0]
    line.stack.value("SELECT fleet.register_device(%s, 'Test', 'T-1', 'A')", [serial])

    def replay():
        assert line.stack.rest(f"/v1/quarantine/{number}:replay", "OPERATOR", "POST").status == 202
        wait_for(lambda: line.stack.value("SELECT outcome FROM telemetry.replay WHERE quarantine_id = %s", [number]) == "stored", 20, "the replay")
        return line.stack.rest(f"/v1/devices/{serial}").json["firmware"]

    assert replay() == "5.1"
    line.publish(f"cf/v1/{serial}/status", json.dumps(status(6, 1, "6.1")).encode())
    wait_for(lambda: line.stack.rest(f"/v1/devices/{serial}").json["firmware"] == "6.1", 20, "the newer one")
    assert replay() == "6.1"


# The reference tracker


def test_tracker_tells_its_status_at_each_connection_and_counts_its_boots(line, tmp_path):
    stack, serial = line.stack, "spare-01"
    serials = tmp_path / "serials"
    serials.write_text(serial + "\n")
    for boot in (1, 2):
        stack.tracker("run", "--serials", serials, "--count", 1, "--interval", 0.1, "--flash", tmp_path / "flash")
        wait_for(lambda b=boot: (stack.rest(f"/v1/devices/{serial}").json["reported"] or {}).get("boot") == b, 20, "its status")
    body = stack.rest(f"/v1/devices/{serial}").json
    assert body["mcu_state"] == "running" and body["firmware"] == body["reported"]["firmware"]["slots"][body["reported"]["firmware"]["running"]]
    assert re.fullmatch("[0-9]{15}", body["reported"]["module"]["imei"]) and body["reported"]["config_version"] == 0
    assert stack.sql("SELECT count(*) FROM telemetry.quarantine WHERE topic = %s", [f"cf/v1/{serial}/status"]) == [(0,)]
    assert len([i for i in stack.rest(f"/v1/devices/{serial}/history").json["items"] if i["object"] == "status"]) == 4
    shown_words = subprocess.run([BIN / "coldfleetctl", "devices", "show", serial], capture_output=True, text=True, check=True,
                                 env={**os.environ, **stack.env, "COLDFLEET_TOKEN": stack.env["COLDFLEET_TOKEN_VIEWER"]}).stdout
    for word in ("mcu_state", "running", body["firmware"], body["reported"]["module"]["imei"], "BG95-M3"):
        assert word in shown_words


def test_tracker_tells_its_status_again_when_the_broker_is_back(own_stack, tmp_path):
    stack, serial = own_stack, "spare-02"
    serials = tmp_path / "serials"
    serials.write_text(serial + "\n")
    uptime = "SELECT uptime_s FROM telemetry.device_status JOIN fleet.device USING (device_id) WHERE serial = %s"
    tracker = stack.tracker_start("run", "--serials", serials, "--interval", 1)
    try:
        first = wait_for(lambda: stack.sql(uptime, [serial]), 20, "a status")
        stack.restart("broker")
        wait_for(lambda: stack.sql(uptime, [serial]) > first, 40, "another one of the same boot")
    finally:
        tracker.terminate()
        tracker.wait(20)


def test_status_that_nobody_heard_is_told_again(own_stack, tmp_path):
    stack, serial = own_stack, "spare-03"
    serials = tmp_path / "serials"
    serials.write_text(serial + "\n")
    boot = "SELECT boot FROM telemetry.device_status JOIN fleet.device USING (device_id) WHERE serial = %s"
    stack.stop("ingest")
    stack.kill("broker")  # and with it the session in which statuses would wait
    stack.start("broker")
    with open(tmp_path / "words", "w") as words:
        tracker = stack.tracker_start("run", "--serials", serials, "--interval", 1, stderr=words)
    try:
        wait_for(lambda: "1 of 1 trackers connected" in (tmp_path / "words").read_text(), 20, "the tracker, that has told its status")
        stack.start("ingest")
        wait_for(lambda: stack.sql(boot, [serial]), 40, "the status")
    finally:
        tracker.terminate()
        tracker.wait(20)
