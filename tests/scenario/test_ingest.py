# SPDX-License-Identifier: Apache-2.0
"""What ingest does with messages it can read: poison rows, equal times, repetitions, receipts, new devices and late
data. Receipts are checked against a model of a few lines."""

import random
import time

import pytest

from ingest_helpers import Ingest, Line, as_cbor, as_json, senml, utc
from stack import wait_for

NOW = round(time.time())
DAY = 86400


@pytest.fixture(scope="module")
def line(stack):
    with Line(stack) as line:
        yield line


# A row that only PostgreSQL refuses


@pytest.fixture
def refusing(line):
    """The database refuses 13.37 degrees, which decoding has nothing against."""
    line.stack.sql("ALTER TABLE telemetry.measurement ADD CONSTRAINT not_1337 CHECK (temperature_c <> 13.37::real)")
    yield
    line.stack.sql("ALTER TABLE telemetry.measurement DROP CONSTRAINT not_1337")


@pytest.mark.parametrize("places", [[0], [257], [499], [100, 101, 102], [3, 250, 251, 498]])
def test_rows_that_postgresql_refuses_are_found_by_halving_and_quarantined_alone(line, refusing, places):
    devices = [line.device("poison") for _ in range(5)]
    splits, refused = line.metric("splits_total"), line.quarantined("refused")
    poison = {i: as_json(senml([1.25, 13.37], seq=i * 2, start=NOW + i)) for i in places}
    with line.together():
        for i in range(500):
            device = devices[i % 5]
            sent = line.publisher.send(device.topic, poison.get(i) or as_json(senml([i], seq=i * 2, start=NOW + i)))
        sent.wait_for_publish(20)
    wait_for(lambda: sum(d.count() for d in devices) == 500 - len(places) and line.quarantined("refused") - refused ==
             len(places), 30, "all messages")
    assert sorted(t for d in devices for t in d.temperatures()) == [i for i in range(500) if i not in poison]
    kept = [row for d in devices for row in d.quarantine()]
    assert {row[2] for row in kept} == set(poison.values())
    for reason, detail, _payload, _type, seen in kept:
        assert (reason, seen) == ("refused", 1)
        assert "not_1337" in detail, "the words of PostgreSQL"
    assert line.metric("splits_total") - splits <= 10 * len(places), "halving takes log2(500) + 1 steps to each"


def test_batch_with_every_kind_of_trouble_at_once_loses_nothing_of_the_rest(line, refusing):
    good, poison, conflict, unknown = (line.device(name) for name in ("good", "poison", "conflict", "soon"))
    conflict.ask(senml([5], seq=0, start=NOW))
    stranger = "cf/v1/stranger-of-the-batch/telemetry"
    with line.together():
        for i in range(60):
            line.publisher.send(good.topic, as_json(senml([i], seq=i, start=NOW + i)))
            line.publisher.send(poison.topic, as_json(senml([13.37 if i % 20 == 7 else i], seq=i, start=NOW + i)))
            line.publisher.send(conflict.topic, as_json(senml([5 + (i == 0)], seq=i, start=NOW + i)))
            line.publisher.send(stranger, as_json(senml([i], seq=i)))
            sent = line.publisher.send(unknown.topic, b"" if i % 2 else as_json(senml([i], seq=i, start=NOW + i)))
        sent.wait_for_publish(20)
    wait_for(lambda: len(line.quarantine(stranger)) == 60 and good.count() == 60 and poison.count() == 57 and
             conflict.count() == 60 and unknown.count() == 30, 20, "all messages")
    assert [row[0] for row in poison.quarantine()] == ["refused"] * 3
    assert [row[0] for row in wait_for(conflict.quarantine, 20, "the conflict")] == ["conflict"]
    assert [(reason, seen) for reason, *_, seen in unknown.quarantine()] == [("empty", 30)]
    assert {row[0] for row in line.quarantine(stranger)} == {"unknown-device"}


@pytest.fixture
def wide(line, without_ingest):
    """An ingest that is soon behind, so that both of its connections store at once."""
    with Ingest(line.stack, "ingest.batch_messages=5", "ingest.connections=2").wait_ready() as ingest:
        yield ingest


def test_connections_that_store_at_once_do_not_collide(line, wide):
    devices, rng = [line.device("same") for _ in range(10)], random.Random(5)
    packs = [(device, as_json(senml([i, i + 0.5], seq=2 * i, start=NOW - 7000 + 120 * i)))
             for device in devices for i in range(50)]
    many = packs * 4
    rng.shuffle(many)
    with wide.together():
        for device, payload in many:
            sent = line.publisher.send(device.topic, payload)
        sent.wait_for_publish(20)
    wait_for(lambda: wide.metric("duplicates_total") == 3000, 20, "three repetitions of 500 packs")
    assert [device.temperatures() for device in devices] == [[i / 2 for i in range(100)]] * 10
    assert [device.quarantine() for device in devices] == [[]] * 10
    assert "deadlock detected" not in line.stack.log("postgres")


# What is the same sample, and what is not


def test_two_different_samples_of_one_time_stay_apart(line):
    numbered, plain = line.device(), line.device()
    numbered.publish(senml([1.5], seq=0, start=NOW))
    numbered.publish(senml([2.5], seq=1, start=NOW))
    plain.publish(senml([3.5, 4.5, 5.5], start=NOW, step=0))
    wait_for(lambda: numbered.count() == 2 and plain.count() == 3, 20, "five rows")
    assert numbered.temperatures() == [1.5, 2.5]
    assert sorted(plain.temperatures()) == [3.5, 4.5, 5.5]
    assert numbered.quarantine() == plain.quarantine() == []


def test_two_probes_and_two_epochs_of_one_time_and_number_stay_apart(line):
    device = line.device()
    device.publish(senml([{"temp": 1.5, "p1/temp": 2.5}], seq=0, start=NOW))
    device.publish(senml([{"temp": 3.5}], seq=0, epoch=1, start=NOW))
    wait_for(lambda: device.count() == 3, 20, "three rows")
    assert sorted(device.temperatures()) == [1.5, 2.5, 3.5]


@pytest.mark.parametrize("together", [True, False], ids=["in-one-batch", "in-several"])
def test_same_sample_again_is_one_row_in_either_encoding(line, together):
    device, duplicates = line.device(), line.metric("duplicates_total")
    pack = senml([{"temp": 4.1, "hum": 51, "co2": 412}, {"temp": 4.2, "door": 1 < 0}], seq=7, start=NOW)
    for record in pack:
        if record.get("v") is False:
            record["vb"] = record.pop("v")
    if together:
        with line.together():
            for _ in range(4):
                device.publish(as_json(pack))
                device.publish(as_cbor(pack))
    else:
        for encode in (as_json, as_cbor) * 4:
            device.publish(encode(pack), ask=True)
            wait_for(lambda: device.count() == 2, 20, "two rows")
    wait_for(lambda: line.metric("duplicates_total") - duplicates == 14, 20, "seven repetitions of two readings")
    assert device.temperatures() == [4.1, 4.2]
    assert device.quarantine() == []


def test_part_of_a_pack_again_adds_only_what_is_new(line):
    device = line.device()
    device.publish(senml([1, 2, 3], seq=0, start=NOW))
    device.publish(senml([2, 3, 4, 5], seq=1, start=NOW + 60))
    wait_for(lambda: device.count() == 5, 20, "five rows")
    assert device.temperatures() == [1, 2, 3, 4, 5]
    assert device.quarantine() == []


@pytest.mark.parametrize("together", [True, False], ids=["in-one-batch", "in-several"])
def test_stored_sample_with_other_values_goes_to_quarantine_and_the_first_stands(line, together):
    device, conflicts = line.device(), line.quarantined("conflict")
    other = as_json(senml([8.25, 2.5], seq=0, start=NOW, clock=NOW))
    if together:
        with line.together():
            device.publish(senml([1.5], seq=0, start=NOW))
            device.publish(other)
    else:
        device.ask(senml([1.5], seq=0, start=NOW))
        device.publish(other)
    (reason, detail, payload, _type, _seen), = wait_for(device.quarantine, 20, "quarantine")
    assert (reason, payload) == ("conflict", other)
    assert f"epoch=0 seq=0 probe=0 unix_time={NOW}" in detail and "already stored with other values" in detail
    assert device.temperatures() == [1.5, 2.5], "the other sample of the pack is stored"
    assert line.quarantined("conflict") == conflicts + 1


@pytest.mark.parametrize("change", [{"hum": 52}, {"note": 7}, {"temp": 4}], ids=["more", "extra", "less"])
def test_conflict_is_seen_in_any_channel(line, change):
    device = line.device()
    device.ask(senml([{"temp": 4, "hum": 51}], seq=0, start=NOW))
    changed = {"temp": 4} if change == {"temp": 4} else {"temp": 4, "hum": 51, **change}
    device.publish(senml([changed], seq=0, start=NOW))
    assert wait_for(device.quarantine, 20, "quarantine")[0][0] == "conflict"


# Receipts


class Model:
    """The numbers that are accounted for, per epoch, and the receipt that follows."""

    def __init__(self):
        self.known = {}

    def add(self, epoch, first, last):
        self.known.setdefault(epoch, set()).update(range(first, last + 1))

    def receipt(self, epoch):
        known = self.known.get(epoch, set())
        through, missing = max(known, default=-1), []
        for n in range(through + 1):
            if n in known:
                continue
            if missing and missing[-1][1] == n - 1:
                missing[-1][1] = n
            else:
                missing.append([n, n])
        if len(missing) > 32:
            through = missing[32][0] - 1
        return {"epoch": epoch, "through": through, "missing": missing[:32]}


def numbered(first, last, **facts):
    """Samples first..last, each at a time that follows from its number."""
    return senml([n / 8 for n in range(first, last + 1)], seq=first, start=NOW - 100_000 + first * 10, step=10, **facts)


def test_receipt_is_sent_when_a_response_topic_or_an_rr_record_asks_and_not_otherwise(line):
    device = line.device()
    device.publish(numbered(0, 4))
    wait_for(lambda: device.count() == 5, 20, "the readings")
    assert device.ask(numbered(5, 6)) == {"epoch": 0, "through": 6, "missing": []}
    device.publish(as_json(numbered(7, 8, rr=True)))
    wait_for(lambda: len(device.receipts()) == 2, 20, "a receipt")
    device.publish(as_cbor(numbered(9, 9, rr=True)))
    wait_for(lambda: len(device.receipts()) == 3, 20, "a receipt")
    device.publish(numbered(10, 10, rr=False))
    wait_for(lambda: device.count() == 11, 20, "the readings")
    device.ask(numbered(11, 11))
    assert [r["through"] for r in device.receipts()] == [6, 8, 9, 11], "one for each wish, none for the others"


def test_receipt_names_gaps_and_closes_them_when_samples_come_late_or_are_lost_at_source(line):
    device = line.device()
    assert device.ask(numbered(0, 9)) == {"epoch": 0, "through": 9, "missing": []}
    assert device.ask(numbered(20, 29)) == {"epoch": 0, "through": 29, "missing": [[10, 19]]}
    assert device.ask(numbered(13, 14)) == {"epoch": 0, "through": 29, "missing": [[10, 12], [15, 19]]}
    assert device.ask(numbered(30, 30, lost="10-12")) == {"epoch": 0, "through": 30, "missing": [[15, 19]]}
    assert device.ask(numbered(31, 31, lost="17")) == {"epoch": 0, "through": 31, "missing": [[15, 16], [18, 19]]}
    assert device.ask(numbered(15, 19)) == {"epoch": 0, "through": 31, "missing": []}


def test_receipt_of_a_series_sent_backwards_shrinks_its_gap_to_nothing(line):
    device = line.device()
    for first in (40, 30, 20, 10):
        assert device.ask(numbered(first, first + 9)) == {"epoch": 0, "through": 49, "missing": [[0, first - 1]]}
    assert device.ask(numbered(0, 9)) == {"epoch": 0, "through": 49, "missing": []}


def test_receipt_of_a_new_and_of_an_old_epoch_speaks_of_that_epoch(line):
    device = line.device()
    device.ask(numbered(0, 9))
    device.ask(numbered(20, 24))
    assert device.ask(numbered(0, 2, epoch=3)) == {"epoch": 3, "through": 2, "missing": []}
    assert device.ask(numbered(12, 13, epoch=0)) == {"epoch": 0, "through": 24, "missing": [[10, 11], [14, 19]]}
    assert device.ask(numbered(5, 6, epoch=1)) == {"epoch": 1, "through": 6, "missing": [[0, 4]]}
    assert device.ask(numbered(3, 3, epoch=3)) == {"epoch": 3, "through": 3, "missing": []}
    assert device.ask(senml([1.5]))["epoch"] == 3, "without numbers: the latest epoch"


def test_receipt_of_a_device_that_numbers_nothing_covers_nothing(line):
    assert line.device().ask(senml([1.5])) == {"epoch": 0, "through": -1, "missing": []}


def test_receipt_names_at_most_32_gaps_the_oldest_and_covers_nothing_beyond_them(line):
    device, model = line.device(), Model()
    with line.together():
        for n in range(0, 100, 2):
            device.publish(numbered(n, n))
            model.add(0, n, n)
    wait_for(lambda: device.count() == 50, 20, "the readings")
    assert device.ask(numbered(98, 98)) == {"epoch": 0, "through": 64, "missing": [[n, n] for n in range(1, 64, 2)]}
    assert device.ask(numbered(1, 1))["missing"] == [[n, n] for n in range(3, 66, 2)], "the next one moves up"
    assert device.ask(numbered(3, 97)) == {"epoch": 0, "through": 98, "missing": []}


def test_highest_sample_number_that_a_device_can_reach_is_stored_and_covered(line):
    highest = 2**31 - 2
    assert line.device().ask(senml([1.5], seq=highest)) == {"epoch": 0, "through": highest, "missing": [[0, highest - 1]]}
    assert line.device().ask(senml([1.5], seq=0, epoch=2**15 - 1)) == {"epoch": 2**15 - 1, "through": 0, "missing": []}


def test_receipt_comes_unasked_when_a_gap_shows_and_only_then(line):
    device = line.device()
    device.publish(numbered(0, 4))
    wait_for(lambda: device.count() == 5, 20, "the readings")
    device.publish(numbered(8, 9))
    assert wait_for(device.receipts, 20, "a receipt nobody asked for") == [{"epoch": 0, "through": 9, "missing": [[5, 7]]}]
    device.publish(numbered(10, 11))
    device.publish(numbered(5, 6))
    wait_for(lambda: device.count() == 11, 20, "the readings")
    assert device.ask(numbered(12, 12)) == {"epoch": 0, "through": 12, "missing": [[7, 7]]}
    assert len(device.receipts()) == 2


def test_samples_with_a_wrong_clock_are_covered_by_the_receipt_as_they_are_kept_in_quarantine(line):
    device = line.device()
    assert device.ask(senml([1, 2, 3], seq=0, start=NOW - 500 * DAY)) == {"epoch": 0, "through": 2, "missing": []}
    assert device.count() == 0 and len(device.quarantine()) == 1


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_receipts_equal_a_model_over_a_random_stream_of_ranges_epochs_losses_and_repetitions(line, seed):
    rng, device, model = random.Random(seed), line.device(), Model()
    for _ in range(60):
        epoch, first = rng.choice([0, 0, 0, 1, 2]), rng.randrange(300)
        last = first + rng.randrange(6)
        facts = {"epoch": epoch}
        if rng.random() < 0.3:
            low = rng.randrange(300)
            facts["lost"] = f"{low}-{low + rng.randrange(40)}"
            model.add(epoch, *map(int, facts["lost"].split("-")))
        model.add(epoch, first, last)
        assert device.ask(numbered(first, last, **facts)) == model.receipt(epoch)
    high = max(model.known)
    assert line.stack.sql("SELECT epoch, seq_high, gaps FROM telemetry.device_state WHERE device_id = %s", [device.id]) == [
        (high, max(model.known[high]), len(Model.receipt(model, high)["missing"]))]


# Devices


def test_device_registered_while_running_is_known_at_once(line):
    unknown = line.quarantined("unknown-device")
    devices = []
    for i in range(25):
        device = line.device("new")
        device.publish(senml([i], seq=0))
        devices.append(device)
    wait_for(lambda: all(d.count() == 1 for d in devices), 20, "every first reading")
    assert line.quarantined("unknown-device") == unknown


@pytest.mark.parametrize("state", ["registered", "disabled", "quarantined", "banned", "decommissioned"])
def test_readings_of_a_device_that_is_not_active_are_evidence_and_stored(line, state):
    device = line.device()
    line.stack.sql("UPDATE fleet.device SET state = %s WHERE device_id = %s", [state, device.id])
    assert device.ask(senml([1.5, 2.5], seq=0)) == {"epoch": 0, "through": 1, "missing": []}
    assert device.temperatures() == [1.5, 2.5]
    assert device.quarantine() == []


# Late data


def partitions_at(line, moment):
    return line.stack.value("SELECT count(*) FROM telemetry.partitions() WHERE lower <= %s AND %s < upper",
                            [utc(moment)] * 2)


def test_repeats_that_come_all_the_time_leave_few_dead_rows_and_the_quick_way_is_tried_again(line):
    device, old, packs = line.device(), NOW - 250 * DAY, 140
    line.stack.sql("CREATE EXTENSION IF NOT EXISTS pgstattuple")
    for i in range(packs):  # one after the other, so each is a batch of its own: a new reading, and one that is there since the first
        device.ask(senml([i, -1], start=old - i, step=600 + i))
    assert device.count() == packs + 1
    name = line.stack.value("SELECT name FROM telemetry.partitions() WHERE %s BETWEEN lower AND upper", [utc(old)])
    dead = line.stack.value("SELECT dead_tuple_count FROM pgstattuple(%s)", [f"telemetry.{name}_first"])
    tries = packs // 65 + 2
    assert packs // 65 <= dead <= 2 * tries, "a connection tries once in 65 batches, which leaves both of a batch's rows at most"


def test_reading_399_days_old_makes_its_partition_and_is_stored(line):
    device, old = line.device(), NOW - 399 * DAY
    assert partitions_at(line, old) == 0
    with line.together():
        for i in range(6):
            device.publish(senml([i], seq=i, start=old + i * 7 * DAY))
        device.publish(senml([6], seq=6, start=NOW))
    wait_for(lambda: device.count() == 7, 20, "all readings")
    assert device.temperatures() == list(range(7))
    assert [partitions_at(line, old + i * 7 * DAY) for i in range(6)] == [1] * 6
    assert device.quarantine() == []


def test_connections_that_need_the_same_new_partition_at_once_both_get_it(line, wide):
    devices = [line.device() for _ in range(40)]
    for round_ in range(4):
        old = NOW - (330 - 14 * round_) * DAY
        assert partitions_at(line, old) == 0
        with wide.together():
            for device in devices:
                sent = device.send(senml([round_], seq=round_, start=old))
            sent.wait_for_publish(20)
        wait_for(lambda: all(device.count() == round_ + 1 for device in devices), 20, "all readings")
        assert partitions_at(line, old) == 1
    assert [device.quarantine() for device in devices] == [[]] * 40


def test_what_is_sent_behind_a_reading_that_needs_a_new_partition_is_stored_behind_it(line, wide):
    device, old = line.device(), NOW - 270 * DAY
    assert partitions_at(line, old) == 0
    with wide.together():
        for i in range(10):
            sent = device.send(senml([i], seq=i, start=(old if i < 5 else NOW) + i))
        sent.wait_for_publish(20)
    wait_for(lambda: device.count() == 10, 20, "all readings")
    assert line.stack.value("SELECT count(*) FROM telemetry.gap WHERE device_id = %s", [device.id]) == 0


def test_samples_401_days_old_and_11_minutes_ahead_go_to_quarantine_and_the_good_ones_of_their_pack_are_stored(line):
    device, now = line.device(), round(time.time())
    samples = {now - 401 * DAY: 66, now - 399 * DAY: 1, now: 2, now + 9 * 60: 3, now + 11 * 60: 77}
    base = min(samples)
    payload = as_json([{"bt": base, "n": "seq", "v": 0}] +
                      [{"n": "temp", "v": value, "t": at - base} for at, value in samples.items()])
    device.publish(payload)
    (reason, detail, kept, _type, _seen), = wait_for(device.quarantine, 20, "quarantine")
    assert (reason, kept) == ("clock", payload)
    assert "2 of 5 samples" in detail and f"{utc(now - 401 * DAY):%Y-%m-%d}" in detail and "400 days" in detail
    assert device.temperatures() == [1, 2, 3]


def test_partition_that_vanished_is_made_again(line):
    device = line.device()
    device.ask(senml([1], seq=0, start=NOW - 200 * DAY))
    name = line.stack.value("SELECT name FROM telemetry.partitions() WHERE %s BETWEEN lower AND upper", [utc(NOW - 200 * DAY)])
    line.stack.sql(f"DROP TABLE telemetry.{name}")
    assert device.ask(senml([2], seq=1, start=NOW - 200 * DAY)) == {"epoch": 0, "through": 1, "missing": []}
    assert device.temperatures() == [2]
    assert device.quarantine() == []
