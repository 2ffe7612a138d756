# SPDX-License-Identifier: Apache-2.0
"""Files of data loggers through REST and coldfleetctl: the bytes are kept, samples are readings that are judged like any
other, and what the device found itself stands beside them. Files that real loggers wrote are tried too where there are
any (COLDFLEET_DATA names their folder, by default shared/data beside the checkout); none of them is part of the project."""

import csv
import hashlib
import itertools
import json
import math
import os
import subprocess
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import pytest

from stack import BIN, ROOT, wait_for

FILES = Path(os.environ.get("COLDFLEET_DATA") or ROOT.parent / "shared" / "data") / "loggers"
real = pytest.mark.skipif(not (FILES / "qtag_RCPJ00010_run02.txt").exists(), reason=f"no logger files in {FILES}")
SAMPLES = ROOT / "tests/fuzz/corpus/fuzz_logger_file"
numbers = itertools.count(1)


@pytest.fixture
def serial(stack):
    serial = f"logger-{next(numbers)}"
    stack.sql("SELECT fleet.register_device(%s, 'Berlinger', 'logger', '')", [serial])
    return serial


def sample(name, day=None):
    """A file of ours, of another device each time, of yesterday or that day."""
    text = (SAMPLES / name).read_bytes().decode()
    text = text.replace("2026-11-01", str(day or date.today() - timedelta(days=1))).replace("TEST00001", f"T{next(numbers)}")
    return text.encode()


def post(stack, serial, file, query="?zone=UTC", token="OPERATOR"):
    return stack.rest(f"/v1/devices/{serial}/logger-files{query}", token, "POST", file, {"Content-Type": "text/plain"})


def readings(stack, serial):
    return stack.sql("SELECT ts, temperature_c::text FROM telemetry.reading JOIN fleet.device USING (device_id) WHERE serial = %s ORDER BY ts, seq",
                     [serial])


def test_an_imported_file_is_kept_as_it_is_with_what_the_device_found_itself(stack, serial):
    file = sample("q-tag.txt")
    made = post(stack, serial, file, "?zone=UTC&reason=returned%20from%20Kumasi")
    assert made.status == 201 and made.headers["location"] == f"/v1/devices/{serial}/logger-files", made
    shown = stack.rest(made.headers["location"]).json["items"]
    assert shown == [made.json] and shown[0]["sha256"] == hashlib.sha256(file).hexdigest() and shown[0]["reason"] == "returned from Kumasi"
    assert bytes(stack.value("SELECT bytes FROM coldchain.logger_file WHERE file_id = %s", [shown[0]["id"]])) == file
    assert (shown[0]["samples"], shown[0]["missing"], shown[0]["out_samples"]) == (5, 1, 2)
    assert [(v["number"], v["out_s"], v["alarm_at"] is not None) for v in shown[0]["verdicts"]] == [(1, 2400, True), (1, 300, False)]
    assert [(v["number"], v["side"], v["counting"], v["limit_c"]) for v in shown[0]["limits"]] == [
        (1, "upper", "single", 8), (4, "lower", "cumulative", 2)]
    assert shown[0]["spans"][0]["mkt_c"] == 5.1 and shown[0]["facts"]["Conf/MKT Energy"] == "83.0"
    assert [c for _, c in readings(stack, serial)] == ["4", "5", "1.5", "9.1"]
    entry = stack.sql("SELECT actor FROM audit.entry WHERE kind = 'logger_file' AND device_id = "
                      "(SELECT device_id FROM fleet.device WHERE serial = %s)", [serial])
    assert len(entry) == 1


def test_the_same_file_again_is_one_file_and_no_further_reading(stack, serial):
    file = sample("q-tag.txt")
    first, again = post(stack, serial, file), post(stack, serial, file)
    assert (first.status, again.status) == (201, 200) and first.json == again.json and len(readings(stack, serial)) == 4


def test_a_later_file_with_samples_of_an_earlier_one_adds_only_new_readings_and_counts_conflicts(stack, serial):
    file = sample("q-tag.txt")
    post(stack, serial, file)
    later = file.replace(b"\t9.1\tx", b"\t9.3\tx").replace(b"08:10\t5.0", b"08:15\t5.0")
    made = post(stack, serial, later)
    assert made.status == 201 and made.json["conflicts"] == 1
    assert [c for _, c in readings(stack, serial)] == ["4", "5", "5", "1.5", "9.1"]


@pytest.mark.parametrize("zone, hours", [("UTC", 0), ("%2B02:00", -2), ("-05:30", 5.5), ("Africa/Nairobi", -3)])
def test_times_are_read_in_the_zone_that_is_said(stack, serial, zone, hours):
    day = date.today() - timedelta(days=2)
    made = post(stack, serial, sample("q-tag.txt", day), f"?zone={zone}")
    assert made.status == 201, made
    expected = datetime(day.year, day.month, day.day, 8, tzinfo=timezone.utc) + timedelta(hours=hours)
    assert readings(stack, serial)[0][0] == expected


def test_what_cannot_be_evidence_is_refused_and_leaves_nothing(stack, serial):
    file = sample("q-tag.txt")
    for query, body, status, says in (
            ("", file, 422, "zone"), ("?zone=Nowhere/Land", file, 422, "zone"), ("?zone=UTC", file.replace(b"9.1", b"nan"), 422, "line "),
            ("?zone=UTC", sample("q-tag.txt", date.today() + timedelta(days=2)), 422, "not come yet"),
            ("?zone=UTC", sample("q-tag.txt", date.today() - timedelta(days=4000)), 422, "longer ago"), ("?zone=UTC", b"", 422, "Device")):
        got = post(stack, serial, body, query)
        assert got.status == status and says in got.json["detail"], got
    assert post(stack, "nobody", file).status == 404 and post(stack, serial, file, token="VIEWER").status == 403
    assert post(stack, "spare-01", file).status == 409, "a tracker's evidence is its own"
    assert not readings(stack, serial) and stack.rest(f"/v1/devices/{serial}/logger-files").json["items"] == []


def test_files_of_two_loggers_do_not_mix_in_one_device(stack, serial):
    assert post(stack, serial, sample("q-tag.txt")).status == 201
    got = post(stack, serial, sample("q-tag.txt"))
    assert got.status == 409 and "serial number" in got.json["detail"]


def test_a_file_of_another_device_is_refused_to_whoever_sees_that_device_and_betrayed_to_nobody_else(stack, serial):
    file, other = sample("q-tag.txt"), f"logger-{next(numbers)}"
    device = stack.value("SELECT fleet.register_device(%s, 'Berlinger', 'logger', '')", [other])
    group = stack.value("INSERT INTO fleet.device_group (name, description) VALUES (%s, '') RETURNING group_id", [other])
    stack.sql("INSERT INTO fleet.group_member (device_id, group_id) VALUES (%s, %s)", [device, group])
    scoped = stack.rest("/v1/tokens", "ADMIN", "POST", {"name": other, "role": "operator", "groups": [group]}).json["token"]
    assert post(stack, serial, file).status == 201
    refused = post(stack, other, file)
    assert refused.status == 409 and "of another device" in refused.json["detail"]
    assert post(stack, other, file, token=scoped).status == 201


def test_coldfleetctl_imports_a_file_and_lists_it(stack, serial, tmp_path):
    (tmp_path / "run.txt").write_bytes(sample("fridge-tag.txt"))
    env = {**os.environ, **{k: stack.env[k] for k in ("COLDFLEET_API", "COLDFLEET_CA") if k in stack.env},
           "COLDFLEET_TOKEN": stack.env["COLDFLEET_TOKEN_OPERATOR"]}
    words = [BIN / "coldfleetctl", "loggers", "import", tmp_path / "run.txt", "--serial", serial]
    none = subprocess.run(words, env=env, capture_output=True, text=True)
    assert none.returncode != 0 and "zone" in none.stderr
    done = subprocess.run([*words, "--zone", "Africa/Accra", "--json"], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["format"] == "fridge-tag"
    listed = subprocess.run([BIN / "coldfleetctl", "loggers", "list", serial], env=env, capture_output=True, text=True)
    assert listed.returncode == 0 and "fridge-tag" in listed.stdout


# Real ones


def series(name):
    with open(FILES / name, newline="", encoding="ascii") as file:
        return [(datetime.fromisoformat(row["ts"]).replace(tzinfo=timezone.utc), float(row["temperature_c"])) for row in csv.DictReader(file)]


@pytest.fixture
def long_kept(stack):
    stack.sql("UPDATE telemetry.setting SET retention_days = 3650")


@real
def test_series_of_real_files_equal_what_others_read_in_them(stack, long_kept):
    for name, missing in (("qtag_RCPJ00010_run02", 0), ("fridgetag_ul_100800001215", 6)):
        serial = f"real-{next(numbers)}"
        stack.sql("SELECT fleet.register_device(%s, 'Berlinger', 'logger', '')", [serial])
        made = post(stack, serial, (FILES / f"{name}.txt").read_bytes())
        assert made.status == 201, made
        assert (made.json["missing"], made.json["samples"]) == (missing, len(series(f"{name}.csv")) + missing)
        assert [(ts, float(c)) for ts, c in readings(stack, serial)] == series(f"{name}.csv")
    days = {v["day"]: v["out_s"] // 60 for v in made.json["verdicts"] if v["number"] == 1}
    assert days == {"2023-04-20": 834, "2023-04-19": 1440, "2023-04-18": 1440, "2023-04-17": 474}


@real
def test_mean_kinetic_temperature_of_the_real_run_is_what_the_device_prints_cut_off(stack, serial, long_kept):
    file = (FILES / "qtag_RCPJ00010_run02.txt").read_bytes().replace(b"RCPJ00010", b"RCPJ00011")
    made = post(stack, serial, file)
    kelvin = [float(c) + 273.15 for _, c in readings(stack, serial)]
    mkt = 10000 / -math.log(sum(math.exp(-10000 / t) for t in kelvin) / len(kelvin)) - 273.15
    assert mkt == pytest.approx(10.59477, abs=1e-4) and made.json["spans"][0]["mkt_c"] == math.floor(mkt * 2) / 2 == 10.5


@real
def test_excursions_of_the_real_run_agree_with_the_devices_own_within_an_interval_each(stack, serial, long_kept):
    """The device's own limits as a profile: what the engine finds and what the device found differ by less than the 10 minutes
    between two samples, for the device judges between them."""
    file = (FILES / "qtag_RCPJ00010_run02.txt").read_bytes().replace(b"RCPJ00010", b"RCPJ00012")
    with stack.connect() as db, db.transaction():
        one = lambda sql, *values: db.execute(sql, values).fetchone()[0]  # noqa: E731
        product = one("INSERT INTO coldchain.product (name) VALUES (%s) RETURNING product_id", f"product of {serial}")
        profile = one("INSERT INTO coldchain.profile (code, product_id, title) VALUES (%s, %s, 'as the logger') RETURNING profile_id", serial, product)
        version = one("INSERT INTO coldchain.profile_version (profile_id, version, storage_lower_c, storage_upper_c, effective_from, source) "
                      "VALUES (%s, 1, 2, 8, '2022-01-01', 'the file') RETURNING profile_version_id", profile)
        for code, lower, upper in (("hot", 8, None), ("cold", None, 2)):
            one("INSERT INTO coldchain.band (profile_version_id, code, title, lower_c, upper_c, counting, allowed_s) "
                "VALUES (%s, %s, %s, %s, %s, 'single', 1800) RETURNING band_id", version, code, code, lower, upper)
        shipment = one("INSERT INTO coldchain.shipment (reference, ignore_s) VALUES (%s, 0) RETURNING shipment_id", serial)
        one("UPDATE coldchain.shipment SET state = 'shipping', started_at = '2022-11-08 04:49Z' WHERE shipment_id = %s RETURNING 1", shipment)
        lot = one("INSERT INTO coldchain.lot (product_id, number) VALUES (%s, '1') RETURNING lot_id", product)
        one("INSERT INTO coldchain.shipment_lot VALUES (%s, %s) RETURNING 1", shipment, lot)
        one("INSERT INTO coldchain.assignment (device_id, shipment_id, lot_id, profile_version_id, during, sample_interval_s) "
            "SELECT device_id, %s, %s, %s, '[2022-11-08 00:00Z,2022-11-09 01:29Z)', 600 FROM fleet.device WHERE serial = %s RETURNING 1",
            shipment, lot, version, serial)
    verdicts = post(stack, serial, file).json["verdicts"]

    def found():
        stack.sql("SELECT coldchain.evaluate(100)")
        return stack.sql("SELECT b.code, e.out_s, e.alarm_at IS NOT NULL FROM coldchain.excursion AS e JOIN coldchain.band AS b USING (band_id) "
                         "JOIN coldchain.assignment AS a USING (assignment_id) WHERE a.shipment_id = %s AND e.state IN ('open', 'ended')", [shipment])

    wait_for(found, 30, "the excursions to be found")
    hot = [out for code, out, _ in found() if code == "hot"]
    # The run goes on for 9 minutes after the last sample, which the device counts.
    assert len(hot) == 1 and abs(hot[0] - next(v["out_s"] for v in verdicts if v["number"] == 1)) <= 600
    cold = [out for code, out, _ in found() if code == "cold"]
    counted = next(v["out_s"] for v in verdicts if v["number"] == 4)
    assert abs(sum(cold) - counted) <= 600 * len(cold)
    alarms = [(v["out_s"], v["started_at"]) for v in verdicts if v["number"] == 5]
    alarmed = sorted(out for code, out, alarm in found() if code == "cold" and alarm)
    print(f"hot {hot[0] / 60:.0f} min, the device 219; cold {sum(cold) / 60:.0f} min in {len(cold)} stays, the device {counted / 60:.0f}; "
          f"alarms {[a / 60 for a in alarmed]}, the device {[a / 60 for a, _ in alarms]}")
