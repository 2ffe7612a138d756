# SPDX-License-Identifier: Apache-2.0
"""Whatever comes on a telemetry topic, the line goes on: what cannot be stored is kept whole in quarantine with a reason
that a person understands, and what came before, beside and after it is stored."""

import random
import socket
import struct
import time

import cbor2
import pytest

from ingest_helpers import CBOR, JSON, TEST_PASSWORD, TEST_USER, Line, as_cbor, as_json, senml, utc
from stack import wait_for

NOW = round(time.time())
PACK = senml([4.1, 4.2, 4.3], seq=0, start=NOW - 600)


def record(**fields):
    return as_json([{"n": "temp", "bt": NOW, **fields}])


def cbor_value(value):
    return as_cbor([{"n": "temp", "bt": NOW, "v": value}])


def raw_json(value):
    return b'[{"n":"temp","bt":%d,"v":%s}]' % (NOW, value)


MANY = [{"n": "temp", "bt": NOW - 20000, "v": 4.0}] + [{"n": "temp", "v": 4.0, "t": i} for i in range(1, 10_000)]
DAY = 86400

# name: (payload, content type, reason, words that the detail must have: what, where, what was expected)
CASES = {
    "empty": (b"", None, "empty", "payload is empty", "expected a SenML pack"),
    "empty-cbor": (b"", CBOR, "empty", "payload is empty", "expected a SenML pack"),
    "plain-text": (b"hello", None, "syntax", "first byte is 0x68", "expected '[' (JSON) or a CBOR array"),
    "nul-byte": (b"\0", None, "syntax", "first byte is 0x00", "expected '['"),
    "html": (b"<html>", JSON, "syntax", "'['"),
    "truncated-json": (as_json(PACK)[:-20], None, "syntax", "JSON"),
    "truncated-json-in-a-string": (b'[{"n":"te', JSON, "syntax", "JSON"),
    "truncated-cbor": (as_cbor(PACK)[:-3], None, "syntax", "CBOR is cut off", "record 4"),
    "cbor-array-longer-than-it": (b"\x9a\xff\xff\xff\xff", CBOR, "syntax", "CBOR is cut off", "record 1"),
    "cbor-trailing-bytes": (as_cbor(PACK) + b"\0\0", CBOR, "syntax", "2 bytes after the end of the pack"),
    "json-as-cbor": (as_json(PACK), CBOR, "syntax", "CBOR is cut off", "record 1"),
    "cbor-as-json": (as_cbor(PACK), JSON, "syntax", "'['"),
    "other-content-type": (as_json(PACK), "text/plain", "syntax", "content type 'text/plain'",
                           "expected application/senml+json or application/senml+cbor"),
    "object-not-array": (b'{"n":"temp","v":1}', JSON, "syntax", "'['"),
    "no-records": (b"[]", None, "senml", "at least one record", "empty"),
    "record-is-a-number": (b"[1]", None, "senml", "record 1", "expected an object", "a number"),
    "value-is-a-string": (record(v="4.1"), None, "senml", "record 1", "field 'v'", "expected a number"),
    "value-is-null": (raw_json(b"null"), None, "senml", "record 1", "field 'v'", "expected a number"),
    "name-is-a-number": (as_json([{"n": 7, "v": 1}]), None, "senml", "record 1", "field 'n'", "expected a string"),
    "cbor-value-is-text": (cbor_value("4.1"), None, "senml", "record 1", "field 'v'", "expected a number"),
    "switch-is-a-number": (as_json([{"n": "door", "v": 1}]), None, "content", "record 1", "door",
                           "expected a boolean (vb)"),
    "temperature-in-volts": (record(u="V", v=4), None, "content", "record 1", "temp has unit 'V'", "expected Cel or K"),
    "two-values": (record(v=4, vs="4"), None, "senml", "record 1"),
    "no-value": (record(), None, "senml", "record 1"),
    "no-name": (as_json([{"v": 4}]), None, "senml", "record 1 has no name", "expected 'n'"),
    "name-with-a-space": (as_json([{"n": "te mp", "v": 4}]), None, "senml", "record 1", "'te mp'", "byte 3"),
    "json-nan": (raw_json(b"NaN"), None, "syntax", "JSON"),
    "json-infinity": (raw_json(b"-Infinity"), None, "syntax", "JSON"),
    "json-1e400": (raw_json(b"1e400"), None, None, "record 1", "too large"),
    "cbor-nan": (cbor_value(float("nan")), None, "senml", "record 1", "'v' is not a number", "expected a finite number"),
    "cbor-infinity": (cbor_value(float("-inf")), None, "senml", "record 1", "'v' is infinite",
                      "expected a finite number"),
    "cbor-2-to-the-70": (cbor_value(2**70), None, "senml", "record 1", "field 'v'", "expected a number"),
    "beyond-a-float": (record(v=1e39), None, "content", "record 1", "temp is 1e+39", "expected"),
    "seq-1e300": (as_json([{"n": "seq", "v": 1e300}]), None, "content", "record 1", "seq is 1",
                  "expected an integer from 0 to 21474836"),
    "seq-fraction": (as_json([{"n": "seq", "v": 1.5}]), None, "content", "record 1", "seq is 1.5", "expected an integer"),
    "seq-runs-out": (as_json(senml([1, 2], seq=2**31 - 2)), None, "content", "seq 2147483646 and 2 samples", "at most"),
    "time-1e300": (record(v=1, t=1e300), None, "senml", "record 1", "time 1e+300", "expected seconds"),
    "latitude-91": (as_json([{"n": "lat", "v": 91}]), None, "content", "record 1", "lat is 91", "expected -90 to 90"),
    "lost-backwards": (as_json([{"n": "lost", "vs": "9-3"}]), None, "content", "record 1", "lost is '9-3'", "expected"),
    "ten-thousand-json": (as_json(MANY), None, "too-large", f"{len(as_json(MANY))} bytes", "expected at most 65536"),
    "ten-thousand-cbor": (cbor2.dumps([{0: "temp", 2: 4}] + [{-2: "temp", 2: 4}] * 4000 + [{2: 4}] * 5999), None,
                          "too-large", "10000 samples", "expected at most 2048"),
    "forty-thousand-records": (cbor2.dumps([{0: "temp", 2: 4}] + [{}] * 40_000), None, "too-large", "32768 records"),
    "deep-json": (b"[" * 30_000, None, None, "record 1"),
    "deep-json-value": (raw_json(b"[" * 30_000 + b"]" * 30_000), None, None, "record 1"),
    "deep-json-objects": (b'[{"n":' + b'{"n":' * 9_000, None, None, "record 1"),
    "deep-cbor": (b"\x81" * 60_000, None, "senml", "record 1", "expected a map", "got an array"),
    "deep-cbor-value": (b"\x81\xa1\x02" + b"\x81" * 60_000, None, "senml", "record 1", "expected a number"),
    "unknown-underscore": (record(v=1, must_=7), None, "senml", "record 1", "'must_'", "ends with '_'"),
    "version-11": (record(v=1, bver=11), None, "senml", "record 1", "SenML version 11", "expected at most 10"),
    "same-field-twice": (b'[{"n":"temp","v":1,"v":2}]', None, None, "record 1", "v"),
    "not-utf8": (b'[{"n":"temp\xff","v":1}]', None, "syntax", "UTF-8"),
    "text-with-u0000": (b'[{"n":"note","vs":"a\\u0000b"}]', None, "syntax", "U+0000"),
    "one-mebibyte": (b"[" + b" " * (2**20 - 2) + b"]", None, "too-large", "1048576 bytes", "expected at most 65536"),
    "time-in-1978": (as_json(senml([4], start=2**28)), None, "clock", "1 of 1 samples", "1978-07-04", "400 days before"),
    "time-in-1970-by-an-offset": (as_json(senml([4], start=-NOW)), None, "clock", "1 of 1 samples", "1970-01-0",
                                  "400 days before"),
    "time-in-2080": (as_json(senml([4], start=3_471_292_800)), None, "clock", "1 of 1 samples", "2080-01-01",
                     "600 s after"),
    "time-in-9999": (as_json(senml([4], start=253_402_300_799)), None, "clock", "1 of 1 samples", "9999-12-31"),
}


@pytest.fixture(scope="module")
def line(stack):
    with Line(stack) as line:
        yield line


def reason_of(payload, reason):
    """A few cases are equally right as not JSON and as not SenML."""
    return {reason} if reason else {"syntax", "senml"}


@pytest.mark.parametrize("case", CASES)
def test_bad_message_is_quarantined_whole_and_its_neighbours_in_the_batch_are_stored(line, case):
    payload, content_type, reason, *words = CASES[case]
    bad, good = line.device("bad"), line.device("good")
    expected = reason_of(payload, reason)
    before = sum(line.quarantined(r) for r in expected)
    # Lanes take turns, so with four messages each lane has a bad one beside a good one.
    with line.together():
        good.publish(senml([1.5], seq=0))
        bad.publish(payload, content_type)
        good.publish(senml([2.5], seq=1, start=NOW + 1))
        bad.publish(payload, content_type)
        good.publish(senml([3.5], seq=2, start=NOW + 2))
    wait_for(lambda: good.count() == 3 and sum(seen for *_, seen in bad.quarantine()) == 2, 20, "all five messages")
    assert len(bad.quarantine()) == 1, "the same message again is counted, not kept twice"
    got_reason, detail, got_payload, got_type, _seen = bad.quarantine()[0]
    assert got_reason in expected
    assert got_payload == payload
    assert got_type == content_type
    for word in words:
        assert word in detail
    assert bad.count() == 0
    assert sum(line.quarantined(r) for r in expected) - before == 2


def test_all_bad_messages_at_once_are_quarantined_and_nothing_else_of_the_batch_is_lost(line):
    good = line.device("good")
    bad = {case: line.device("bad") for case in CASES}
    drops, messages = line.metric("lane_drops_total"), line.metric("messages_total")
    with line.together():
        for i, (case, device) in enumerate(bad.items()):
            device.publish(*CASES[case][:2])
            good.publish(senml([i], seq=i, start=NOW - 1000 + i))
    wait_for(lambda: line.metric("messages_total") - messages >= 2 * len(CASES), 20, "all messages")
    assert good.temperatures() == list(range(len(CASES)))
    for case, device in bad.items():
        assert [row[2] for row in device.quarantine()] == [CASES[case][0]], case
    assert line.metric("messages_total") - messages == 2 * len(CASES)
    assert line.metric("lane_drops_total") == drops
    assert line.ready()[0] == 200


def test_number_too_large_for_a_sensor_is_stored_and_flagged_as_a_fault(line):
    device = line.device()
    device.publish(raw_json(str(2**70).encode()))
    wait_for(lambda: device.count() == 1, 20, "the reading")
    assert line.stack.sql("SELECT temperature_c, flags FROM telemetry.reading WHERE device_id = %s",
                          [device.id]) == [(pytest.approx(2.0**70), 1)]
    assert line.stack.value("SELECT temperature_c FROM telemetry.device_state WHERE device_id = %s", [device.id]) is None
    assert device.quarantine() == []


def test_good_samples_of_a_pack_with_a_wrong_clock_are_stored_and_the_whole_pack_is_kept(line):
    device = line.device()
    payload = as_json([{"n": "seq", "v": 0, "bt": NOW - 60}, {"n": "temp", "v": 1.5}, {"n": "temp", "v": 2.5, "t": 30},
                       {"n": "temp", "v": 66, "t": 60 * DAY * 365}])
    device.publish(payload)
    wait_for(device.quarantine, 20, "quarantine")
    assert device.temperatures() == [1.5, 2.5]
    (reason, detail, kept, _type, _seen), = device.quarantine()
    assert (reason, kept) == ("clock", payload)
    assert "1 of 3 samples" in detail


def test_message_of_an_unknown_device_is_quarantined_with_its_serial_and_what_to_do(line):
    topic = "cf/v1/nobody-knows-me/telemetry"
    before = line.quarantined("unknown-device")
    line.publish(topic, as_json(PACK))
    (reason, detail, payload, _type, seen), = wait_for(lambda: line.quarantine(topic), 20, "quarantine")
    assert (reason, payload, seen) == ("unknown-device", as_json(PACK), 1)
    assert "nobody-knows-me" in detail and "register it" in detail
    assert line.stack.value("SELECT device_id IS NULL FROM telemetry.quarantine WHERE topic = %s", [topic])
    assert line.quarantined("unknown-device") == before + 1


def test_quarantined_message_of_a_known_device_carries_its_device_and_times(line):
    device = line.device()
    device.publish(b"first")
    wait_for(device.quarantine, 20, "quarantine")
    device.publish(b"first")
    device.publish(b"second")
    wait_for(lambda: [row[2] for row in device.quarantine()] == [b"first", b"second"], 20, "both")
    wait_for(lambda: [row[4] for row in device.quarantine()] == [2, 1], 20, "the repetition to be counted")
    (first, last, other), = line.stack.sql(
        "SELECT min(first_received_at), max(last_received_at), count(*) FILTER (WHERE device_id <> %s) "
        "FROM telemetry.quarantine WHERE topic = %s", [device.id, device.topic])
    assert utc(NOW) <= first < last <= utc(time.time() + 1)
    assert other == 0


def mutations(seed, count):
    """Valid packs with bytes changed, dropped, doubled or put elsewhere; and plain noise."""
    rng = random.Random(seed)
    for i in range(count):
        pack = senml([rng.uniform(-80, 80) for _ in range(rng.randrange(1, 6))], seq=i * 10, start=NOW - 6000 + i)
        data = bytearray(rng.choice([as_json, as_cbor])(pack))
        for _ in range(rng.randrange(1, 4)):
            at, to = sorted(rng.randrange(len(data)) for _ in range(2))
            change = rng.randrange(4)
            if change == 0:
                data[at] = rng.randrange(256)
            elif change == 1:
                del data[at:to]
            elif change == 2:
                data[at:at] = data[at:to]
            else:
                data[at:to] = rng.randbytes(to - at)
            data = data or bytearray(b"\xff")
        yield bytes(data) if rng.random() < 0.9 else rng.randbytes(rng.randrange(300))


def test_every_one_of_600_damaged_messages_is_stored_or_quarantined_byte_for_byte(line):
    payloads = list(dict.fromkeys(mutations(20261122, 600)))
    devices = [line.device("damaged") for _ in range(6)]
    messages, drops = line.metric("messages_total"), line.metric("lane_drops_total")
    for i, payload in enumerate(payloads):
        line.publisher.send(devices[i % 6].topic, payload)
    wait_for(lambda: line.metric("messages_total") - messages >= len(payloads), 30, "all to be committed")
    assert line.metric("messages_total") - messages == len(payloads)
    assert line.metric("lane_drops_total") == drops
    kept = {row[2] for device in devices for row in device.quarantine()}
    assert kept <= set(payloads)
    assert len(kept) > len(payloads) / 3, "most damage must be noticed"
    after = line.device()
    after.publish(PACK)
    wait_for(lambda: after.count() == 3, 20, "the good pack behind them")


# What the broker refuses and what it lets through


class RawMqtt:
    """MQTT 5 by hand, for packets that no client library would send."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(path)
        connect = (self._text(b"MQTT") + b"\x05\xc2\x00\x3c\x00" + self._text(b"raw-%d" % time.monotonic_ns())
                   + self._text(TEST_USER.encode()) + self._text(TEST_PASSWORD.encode()))
        self._send(0x10, connect)
        kind, body = self.packet()
        assert (kind, body[1]) == (2, 0), f"not connected: {body!r}"

    @staticmethod
    def _text(data):
        return struct.pack(">H", len(data)) + data

    def _send(self, first, body):
        length, rest = b"", len(body)
        while True:
            length += bytes([rest % 128 | (0x80 if rest > 127 else 0)])
            rest //= 128
            if not rest:
                break
        self.socket.sendall(bytes([first]) + length + body)

    def publish(self, topic, payload, number=1):
        """Sends PUBLISH at QoS 1; returns the PUBACK's reason, or "closed" when the broker ended the connection."""
        try:
            self._send(0x32, self._text(topic) + struct.pack(">H", number) + b"\x00" + payload)
            kind, body = self.packet()
        except (ConnectionError, EOFError):
            return "closed"
        if kind == 14:
            return "closed"
        assert kind == 4, f"expected PUBACK, got packet type {kind}"
        return body[2] if len(body) > 2 else 0

    def packet(self):
        first = self._exactly(1)[0]
        length, shift = 0, 0
        while True:
            byte = self._exactly(1)[0]
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        return first >> 4, self._exactly(length)

    def _exactly(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


@pytest.mark.parametrize("topic", [b"cf/v1/+/telemetry", b"cf/v1/#", b"cf/v1/a\0b/telemetry", b"cf/v1/\xff\xfe/telemetry",
                                   b"cf/v1/\xed\xa0\x80/telemetry", b"cf/v1/a\x01b/telemetry", b""],
                         ids=["plus", "hash", "nul", "not-utf8", "surrogate", "control-character", "empty"])
def test_topic_that_mqtt_forbids_is_refused_by_the_broker_and_the_line_goes_on(line, topic):
    good = line.device()
    messages = line.metric("messages_total")
    with RawMqtt(line.socket_path) as raw:
        assert raw.publish(topic, as_json(PACK)) == "closed"
    good.publish(PACK)
    wait_for(lambda: good.count() == 3, 20, "the good pack behind it")
    assert line.metric("messages_total") == messages + 1


@pytest.mark.parametrize("serial, words", [
    ("x" * 300, "serial of 300 bytes"),
    ("x" * 65, "serial of 65 bytes"),
    ("", "serial of 0 bytes"),
    ("with a space", "expected 1 to 64 of A-Z a-z 0-9 . _ -"),
    ("Fühler-7", "expected 1 to 64 of A-Z a-z 0-9 . _ -"),
    ("冷蔵庫" * 40, "serial of 360 bytes"),
    ("$$';DROP TABLE telemetry.reading", "expected 1 to 64"),
], ids=["300-characters", "65-characters", "none", "space", "umlaut", "multibyte", "sql"])
def test_topic_that_the_broker_lets_through_and_no_device_can_have_is_quarantined(line, serial, words):
    topic, good = f"cf/v1/{serial}/telemetry", line.device()
    before = line.quarantined("topic")
    with line.together():
        good.publish(senml([1], seq=0))
        line.publish(topic, as_json(PACK), JSON)
        line.publish(topic, as_json(PACK), JSON)
        good.publish(senml([2], seq=1, start=NOW + 60))
    wait_for(lambda: good.count() == 2 and line.quarantine(topic)[0][4] == 2 if line.quarantine(topic) else False, 20,
             "all four messages")
    (reason, detail, payload, kind, seen), = line.quarantine(topic)
    assert (reason, payload, kind, seen) == ("topic", as_json(PACK), JSON, 2)
    assert words in detail
    assert line.quarantined("topic") == before + 2


def test_payload_beyond_the_brokers_limit_is_refused_with_a_reason_and_the_connection_lives_on(line):
    device = line.device()
    with RawMqtt(line.socket_path) as raw:
        assert raw.publish(device.topic.encode(), b"[" + b" " * 2**21, 1) == 0x95, "packet too large"
        assert raw.publish(device.topic.encode(), as_json(PACK), 2) == 0
    wait_for(lambda: device.count() == 3, 20, "the good pack on the same connection")
    assert device.quarantine() == []
