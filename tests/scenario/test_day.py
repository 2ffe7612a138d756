# SPDX-License-Identifier: Apache-2.0
"""A day of a fleet, speeded up: trackers under shipments live through it by a script that says when which of them is too warm or too cold,
and the report of each shipment says that, the same, and nothing else. COLDFLEET_DAY makes it larger: "10000 200 300" are trackers, shipments,
and seconds that the day takes."""

import os
import random
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

from stack import PATIENCE, ROOT, wait_for

TRACKERS, SHIPMENTS, SECONDS = map(int, os.environ.get("COLDFLEET_DAY", "20 6 6").split())
EACH = 5000  # trackers of a process, for open files have a limit
INTERVAL = timedelta(minutes=10)
ALLOWED = {"hot": timedelta(minutes=45), "freeze": timedelta(0)}
CELSIUS = {"hot": 12.5, "freeze": -2.5}
PROFILE = """{"source": "test", "storage_lower_c": 2, "storage_upper_c": 8, "effective_from": "2020-01-01", "bands": [
    {"code": "hot", "lower_c": 8, "counting": "single", "allowed_s": 2700}, {"code": "freeze", "upper_c": -0.5, "counting": "single", "allowed_s": 0}]}"""


def enrol(stack):
    minted = stack.tracker("mint", "--dir", stack.env["COLDFLEET_CERTS"], "--prefix", "day-", "--count", TRACKERS).stdout
    subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", stack.env["COLDFLEET_DB_OWNER"], "-f", ROOT / "ops/lib/enrol.sql"], input=minted,
                   text=True, check=True, capture_output=True)
    return [line.split("\t")[0] for line in minted.splitlines()]


def write_script(rng, serials, since, path):
    """One tracker of three, once or twice, for 15 minutes to 5 hours, at least 3 hours apart and not at the ends: {serial: [(band, from, to)]}."""
    script = {}
    for serial in serials:
        at = since + timedelta(minutes=rng.randrange(60, 500))
        for _ in range(rng.choice((0, 0, 0, 0, 1, 2))):
            band, lasts = rng.choice(("hot", "freeze")), timedelta(minutes=rng.randrange(15, 300))
            script.setdefault(serial, []).append((band, at, at + lasts))
            at += lasts + timedelta(minutes=180)
    path.write_text("".join(f"{serial} {start.isoformat()} {end.isoformat()} {CELSIUS[band]}\n"
                            for serial, acts in script.items() for band, start, end in acts))
    return script


def moment(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def differences(report, serials, script):
    """What a report says otherwise than the script. A stay begins with the first sample in it and ends with the first after it."""
    wrong = []
    found = {s: [x for x in report["excursions"] if x["serial"] == s] for s in serials}
    bands = {f["serial"]: {b["kind"]: b["out_s"] for b in f["bands"]} for f in report["figures"]}
    if sum(map(len, found.values())) != len(report["excursions"]) or set(bands) != set(serials):
        wrong.append("trackers that are not of this shipment")
    for serial in serials:
        acts = script.get(serial, [])
        if [x["kind"] for x in found[serial]] != [band for band, _, _ in acts]:
            wrong.append((serial, acts, found[serial]))
            continue
        for (band, start, end), x in zip(acts, found[serial]):
            began, ended = moment(x["started_at"]), moment(x["ended_at"])
            alarm = began + ALLOWED[band] if ended - began >= ALLOWED[band] else None
            if not (start <= began < start + INTERVAL and end <= ended < end + INTERVAL and x["state"] == "ended" and x["min_c"] == x["max_c"] == CELSIUS[band]
                    and x["unobserved_s"] == 0 and abs(x["out_s"] - (ended - began).total_seconds()) < 0.001
                    and (x["alarm_at"] and moment(x["alarm_at"])) == alarm):
                wrong.append((serial, (band, start, end), x))
        sums = {band: sum(x["out_s"] for x in found[serial] if x["kind"] == band) for band in ALLOWED}
        if any(abs(bands[serial][band] - sums[band]) > 0.001 for band in ALLOWED):
            wrong.append((serial, bands[serial], sums))
    return wrong


def test_the_report_of_each_shipment_of_a_day_says_what_the_script_did(own_stack, tmp_path):
    def call(path, body=None, method="POST"):
        answer = own_stack.rest(path, "ADMIN", method, body)
        assert answer.status < 300, answer
        return answer.json

    def ship(n):
        shipment = call("/v1/shipments", {"reference": f"day-{n}", "ignore_s": 0, "lots": [{"product": "day", "number": f"L{n}"}]})["id"]
        for serial in serials[n::SHIPMENTS]:
            call(f"/v1/shipments/{shipment}/assignments", {"serial": serial, "profile": "day", "from": since.isoformat(), "sample_interval_s": 600})
        call(f"/v1/shipments/{shipment}:depart", {"at": since.isoformat()})
        return shipment

    def judge(n):
        path = f"/v1/shipments/{shipments[n]}"
        call(f"{path}:arrive", {"at": until.isoformat()})
        wait_for(lambda: not own_stack.value("SELECT count(*) FROM coldchain.due"), 300, "the evaluation")
        return differences(call(f"{path}/report", method="GET"), serials[n::SHIPMENTS], script)

    serials = enrol(own_stack)
    own_stack.sql("INSERT INTO coldchain.product (name) VALUES ('day')")
    own_stack.sql("SELECT coldchain.put_profile('day', %s)", [PROFILE])
    with ThreadPoolExecutor(4) as pool:
        since = datetime.now(timezone.utc) - timedelta(days=1, hours=1)
        shipments = list(pool.map(ship, range(SHIPMENTS)))
        began = datetime.now(timezone.utc) - timedelta(days=1)  # of what trackers live through
        for at in (began, began + timedelta(days=1)):
            own_stack.sql("SELECT telemetry.ensure_partition(%s)", [at])
        script = write_script(random.Random(7), serials, began, tmp_path / "script")
        for n in range(0, TRACKERS, EACH):
            (tmp_path / f"serials-{n}").write_text("".join(f"{serial}\n" for serial in serials[n:n + EACH]))
        runs = [own_stack.tracker_start("run", "--serials", tmp_path / f"serials-{n}", "--interval", "600", "--pack", 12, "--backfill", "1d", "--speed",
                                        86400 / SECONDS, "--count", 143, "--script", tmp_path / "script", "--start-over", SECONDS / 3,
                                        "--json", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) for n in range(0, TRACKERS, EACH)]
        try:
            said = [run.communicate(timeout=SECONDS + 300 * PATIENCE)[0] for run in runs]
        finally:
            for run in runs:
                run.kill()
        until = datetime.now(timezone.utc)
        wrong = [w for found in pool.map(judge, range(SHIPMENTS)) for w in found]
    assert not wrong, f"{len(wrong)}, such as {wrong[:3]}; {said}"
    assert script and own_stack.value("SELECT count(*) FROM telemetry.reading") == 143 * TRACKERS
