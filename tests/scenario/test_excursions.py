# SPDX-License-Identifier: Apache-2.0
"""From what a tracker publishes to the excursion: ingest marks what has to be evaluated, and nothing else."""

import random
import time

import pytest

from ingest_helpers import Line, senml
from stack import wait_for

STEP = 600
SERIES = [5, 5, 9, 9, 9, 9, 5, 5, 5, 9, 5]  # 40 minutes and 10 above 8


@pytest.fixture(scope="module")
def line(stack):
    stack.stop("notify")  # which would evaluate too, and nothing be seen of what is due
    with Line(stack) as line:
        yield line
    stack.start("notify")


@pytest.fixture
def watched(line):
    """A device whose probe 0 watches a lot that may be above 8 for 30 minutes; it has been under way for a day."""
    device = line.device("excursion")
    line.stack.sql("""
        WITH product AS (INSERT INTO coldchain.product (name) VALUES (%(name)s) RETURNING product_id),
        lot AS (INSERT INTO coldchain.lot (product_id, number) SELECT product_id, 'L' FROM product RETURNING lot_id),
        shipment AS (INSERT INTO coldchain.shipment (reference, ignore_s, state, started_at)
            VALUES (%(name)s, 0, 'shipping', now() - interval '1 day') RETURNING shipment_id)
        INSERT INTO coldchain.shipment_lot (shipment_id, lot_id) SELECT shipment_id, lot_id FROM shipment, lot""", {"name": device.serial})
    line.stack.sql("""
        INSERT INTO coldchain.assignment (device_id, shipment_id, lot_id, profile_version_id, during, sample_interval_s)
        SELECT %s, shipment_id, lot_id, coldchain.put_profile(%s, '{"source": "test", "storage_lower_c": 2, "storage_upper_c": 8,
            "bands": [{"code": "hot", "lower_c": 8, "allowed_s": 1800}]}'), tstzrange(now() - interval '1 day', NULL), %s
        FROM coldchain.shipment_lot JOIN coldchain.shipment USING (shipment_id) WHERE reference = %s""",
                   [device.id, device.serial, STEP, device.serial])
    evaluate(line)
    return device


def evaluate(line):
    """As coldfleet-notify does, until nothing is due."""
    while line.stack.value("SELECT coldchain.evaluate(100)"):
        pass


def due(line, device):
    return line.stack.value("SELECT count(*) FROM coldchain.due WHERE device_id = %s", [device.id])


def stays(line, device, start):
    return [tuple(row) for row in line.stack.sql(
        "SELECT state, extract(epoch FROM started_at)::int - %s, extract(epoch FROM ended_at)::int - %s,"
        " extract(epoch FROM alarm_at)::int - %s, out_s FROM coldchain.excursion"
        " WHERE device_id = %s AND state IN ('open', 'ended') ORDER BY started_at", [start, start, start, device.id])]


def test_readings_within_the_limits_leave_nothing_to_do(line, watched):
    watched.ask(senml([5, 6, 7], seq=0, step=STEP))
    assert watched.count() == 3 and due(line, watched) == 0


def test_devices_that_watch_nothing_are_not_marked(line):
    device = line.device("idle")
    device.ask(senml([50, -50, 9], seq=0, step=STEP))
    assert device.count() == 3 and due(line, device) == 0


@pytest.mark.parametrize("order", ["in-order", "backwards", "shuffled"])
def test_whatever_the_order_of_messages_the_same_excursions_are_found(line, watched, order):
    start = round(time.time()) - STEP * len(SERIES)
    messages = [senml([t], seq=n, start=start + n * STEP) for n, t in enumerate(SERIES)]
    if order == "backwards":
        messages.reverse()
    elif order == "shuffled":
        random.Random(3).shuffle(messages)
    for message in messages + messages[:3]:
        watched.ask(message)
        evaluate(line)
    wait_for(lambda: not due(line, watched), 20, "the evaluation")
    assert stays(line, watched, start) == [("ended", 2 * STEP, 6 * STEP, 5 * STEP, 4.0 * STEP), ("ended", 9 * STEP, 10 * STEP, None, 1.0 * STEP)]
    alarms = line.stack.sql("SELECT state FROM coldchain.alarm WHERE device_id = %s AND kind = 'excursion'", [watched.id])
    assert alarms == [("cleared",)], "raised once"


def test_the_fleet_is_filtered_and_counted_by_who_is_in_an_excursion(line, watched):
    def found():
        return [d["serial"] for d in line.stack.rest(f"/v1/devices?in_excursion=true&q={watched.serial}").json["items"]]
    counted = line.stack.rest("/v1/fleet/summary").json["in_excursion"]
    assert found() == []
    watched.ask(senml([5, 9, 9], seq=0, step=STEP))
    evaluate(line)
    assert found() == [watched.serial]
    wait_for(lambda: line.stack.rest("/v1/fleet/summary").json["in_excursion"] == counted + 1, 30, "a fresh count")
    watched.ask(senml([5], seq=3, start=round(time.time())))
    evaluate(line)
    assert found() == []
    assert line.stack.rest("/v1/devices?in_excursion=maybe").status == 422


def test_a_fault_of_the_sensor_is_not_evaluated(line, watched):
    watched.ask(senml([5, 999, 5], seq=0, step=STEP))
    assert watched.count() == 3 and due(line, watched) == 0
