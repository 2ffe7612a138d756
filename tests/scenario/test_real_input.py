# SPDX-License-Identifier: Apache-2.0
"""Series that real loggers recorded, replayed by the reference tracker in many ways and through a killed ingest: what is
in the database equals the file row by row, and the tracker's flash ends empty. The files are not part of the project;
COLDFLEET_DATA names their folder, by default shared/data beside the checkout, and without it nothing is tested."""

import csv
import json
import os
import random
import subprocess
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from ingest_helpers import Ingest, Line
from stack import PATIENCE, ROOT, wait_for

LOGGERS = Path(os.environ.get("COLDFLEET_DATA") or ROOT.parent / "shared" / "data") / "loggers"
FILES = sorted(LOGGERS.glob("*.csv"))
WAYS = {
    "as-recorded": [],
    "one-by-one": ["--pack", "1"],
    "backwards": ["--order", "reverse"],
    "shuffled-and-repeated": ["--order", "shuffle", "--duplicate", "0.2", "--pack", "37", "--cbor"],
    "all-in-one": ["--pack", "2048", "--cbor"],
}

pytestmark = pytest.mark.skipif(not FILES, reason=f"no logger files in {LOGGERS}")


@pytest.fixture(scope="module")
def line(stack):
    with Line(stack) as line:
        yield line


def recorded(path, days):
    """[(time, temperature)] of the file, its times moved by so many days."""
    with open(path, newline="", encoding="ascii") as file:
        rows = [(datetime.fromisoformat(row["ts"]), float(row["temperature_c"])) for row in csv.DictReader(file)]
    return sorted((moment + timedelta(days=days), temperature) for moment, temperature in rows)


def stored(line, serial):
    """[(time, temperature)] as stored; a temperature as the shortest decimal that it is stored as."""
    rows = line.stack.sql("SELECT ts, temperature_c::text::float8 FROM telemetry.reading JOIN fleet.device USING (device_id) "
                          "WHERE serial = %s ORDER BY ts, seq", [serial])
    return [tuple(row) for row in rows]


def words(serial, path, *options):
    return ["replay", "--serial", serial, "--csv", path, "--shift-days", "auto", "--resend-after", "0.5", "--timeout", "60",
            "--json", *options]


@pytest.fixture
def serial(line):
    serial = f"logger-{next(Line.serials)}"
    line.stack.enrol(serial)
    return serial


def assert_all_stored(line, path, serial, summary):
    said = json.loads(summary)
    expected = recorded(path, said["shift_days"])
    assert len(expected) > 100
    assert stored(line, serial) == sorted(expected)
    assert said["stored"] == said["samples"] == len(expected), "the flash is empty"
    assert line.quarantine(f"cf/v1/{serial}/telemetry") == []
    epoch, high, gaps = line.stack.sql("SELECT epoch, seq_high, gaps FROM telemetry.device_state JOIN fleet.device "
                                       "USING (device_id) WHERE serial = %s", [serial])[0]
    assert (epoch, high, gaps) == (said["epoch"], len(expected) - 1, 0)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_recorded_series_is_in_the_database_row_by_row_however_it_was_sent(line, serial, path, way):
    assert_all_stored(line, path, serial, line.stack.tracker(*words(serial, path, *WAYS[way])).stdout)


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_series_sent_again_in_other_packs_and_order_changes_nothing(line, serial, path):
    first = line.stack.tracker(*words(serial, path)).stdout
    before = line.stack.sql("SELECT r FROM telemetry.reading AS r JOIN fleet.device USING (device_id) WHERE serial = %s "
                            "ORDER BY ts, seq", [serial])
    line.stack.tracker(*words(serial, path, "--order", "shuffle", "--pack", "11", "--cbor", "--duplicate", "0.5"))
    assert before == line.stack.sql("SELECT r FROM telemetry.reading AS r JOIN fleet.device USING (device_id) "
                                    "WHERE serial = %s ORDER BY ts, seq", [serial])
    assert_all_stored(line, path, serial, first)


@pytest.fixture
def slow_database(line):
    """Storing a batch takes 20 ms longer, so that a series is long enough to be interrupted."""
    line.stack.sql("""
        CREATE FUNCTION public.linger() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.02); RETURN NULL; END';
        CREATE TRIGGER linger AFTER INSERT ON telemetry.measurement FOR EACH STATEMENT EXECUTE FUNCTION public.linger()""")
    yield
    line.stack.sql("DROP FUNCTION public.linger CASCADE")


@pytest.mark.parametrize("way", ["as-recorded", "shuffled-and-repeated"])
@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_series_is_complete_after_kills_of_ingest_in_the_middle_of_it(line, slow_database, serial, path, way):
    rng, total, kills = random.Random(7), len(recorded(path, 0)), 0
    line.stack.stop("ingest")
    tracker = line.stack.tracker_start(*words(serial, path, *WAYS[way], "--pack", max(1, total // 200)), stdout=subprocess.PIPE)
    try:
        for part in range(1, 4):
            with Ingest(line.stack, "ingest.lanes=1", "ingest.batch_messages=4"):
                wait_for(lambda: len(stored(line, serial)) >= total * part // 8, 20, "a part of the series")
                time.sleep(rng.uniform(0, 0.04))  # waits for nothing: a random moment of the next batches
            kills += len(stored(line, serial)) < total
        line.stack.start("ingest")
        summary, _ = tracker.communicate(timeout=90 * PATIENCE)
    finally:
        tracker.kill()
        tracker.wait()
        line.stack.start("ingest")
    assert tracker.returncode == 0
    assert kills == 3, "killed in the middle of the series"
    assert_all_stored(line, path, serial, summary)
