# SPDX-License-Identifier: Apache-2.0
"""What the tests of the ingest path share: a publisher that may say anything on any telemetry topic, devices of a
test's own, SenML in both encodings, and questions to the database about what became of it all."""

import itertools
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path

import cbor2
import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from stack import BIN, PATIENCE, wait_for

JSON = "application/senml+json"
CBOR = "application/senml+cbor"
CBOR_LABELS = {"bn": -2, "bt": -3, "bu": -4, "bv": -5, "bs": -6, "bver": -1, "n": 0, "u": 1, "v": 2, "vs": 3, "vb": 4,
               "s": 5, "t": 6, "ut": 7, "vd": 8}
# May publish on every telemetry topic: what a stolen certificate, a broken firmware or another broker could say.
TEST_USER, TEST_PASSWORD = "@anything", "for this test only"
STREAM = 5000  # messages of a Stream
DEVICES = 10   # that send them


def senml(temperatures, seq=None, start=None, step=60, **facts):
    """A pack of samples `step` seconds apart, the last one now unless `start` (Unix time) is given. A sample is a
    temperature or a dict of channels. `facts` are pseudo-records: epoch=1, rr=True, lost="4-7"."""
    first = round(time.time()) - step * (len(temperatures) - 1) if start is None else start
    records = [{"n": "seq", "v": seq}] if seq is not None else []
    for name, value in facts.items():
        field = {bool: "vb", str: "vs"}.get(type(value), "v")
        records.append({"n": name, field: value})
    for i, sample in enumerate(temperatures):
        channels = sample if isinstance(sample, dict) else {"temp": sample}
        records += [{"n": name, "v": value, "t": i * step} for name, value in channels.items()]
    records[0] = {"bt": first, **records[0]}
    return records


def as_json(records):
    return json.dumps(records).encode()


def as_cbor(records):
    return cbor2.dumps([{CBOR_LABELS.get(k, k): v for k, v in record.items()} for record in records])


class UnixClient(paho.Client):
    """paho over a Unix socket, which its version 1 does not know."""

    socket_path = ""

    def _create_socket_connection(self):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(20)
        connection.connect(self.socket_path)
        return connection


class Publisher:
    """A connected client that publishes at QoS 1 and keeps the receipts that come."""

    numbers = itertools.count(1)

    def __init__(self, socket_path):
        self.receipts = []
        self.received = threading.Condition()
        self.connected = threading.Event()
        self.subscribed = threading.Event()
        name = f"publisher-{os.getpid()}-{next(self.numbers)}"
        self.client = client = UnixClient(client_id=name, protocol=paho.MQTTv5)
        client.socket_path = str(socket_path)
        client.username_pw_set(TEST_USER, TEST_PASSWORD)
        client.max_queued_messages_set(0)
        client.max_inflight_messages_set(90)
        client.reconnect_delay_set(1, 1)
        client.on_connect = self._on_connect
        client.on_subscribe = lambda *_: self.subscribed.set()
        client.on_disconnect = lambda *_: self.connected.clear()
        client.on_message = self._on_message
        client.connect("localhost", 1, clean_start=paho.MQTT_CLEAN_START_FIRST_ONLY,
                       properties=self._properties(PacketTypes.CONNECT, SessionExpiryInterval=600))
        client.loop_start()
        assert self.subscribed.wait(20 * PATIENCE), "the publisher could not subscribe to receipts"

    @staticmethod
    def _properties(packet, **values):
        properties = Properties(packet)
        for name, value in values.items():
            setattr(properties, name, value)
        return properties

    def _on_connect(self, client, _user, _flags, reason, _properties):
        assert reason == 0, f"the broker refused the publisher: {reason}"
        client.subscribe("cf/v1/+/receipt")
        self.connected.set()

    def _on_message(self, _client, _user, message):
        with self.received:
            self.receipts.append((message.topic.split("/")[2], json.loads(message.payload)))
            self.received.notify_all()

    def send(self, topic, payload, content_type=None, response_topic=None):
        """Hands the message to the client without waiting; .wait_for_publish() of what it returns does."""
        values = {"ContentType": content_type, "ResponseTopic": response_topic}
        properties = self._properties(PacketTypes.PUBLISH, **{k: v for k, v in values.items() if v is not None})
        return self.client.publish(topic, payload, qos=1, properties=properties)

    def publish(self, *args, **kwargs):
        """Sends, and returns when the broker has it. paho keeps what is sent while it reconnects (a test before this one may
        have restarted the broker), but its own way to wait calls that an error."""
        sent = self.send(*args, **kwargs)
        wait_for(lambda: sent._published, 20, "the broker to acknowledge")  # pylint: disable=protected-access

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


class Device:
    """A registered tracker of one test."""

    def __init__(self, line, serial):
        self.line, self.serial = line, serial
        self.topic = f"cf/v1/{serial}/telemetry"
        self.id = line.stack.value("SELECT fleet.register_device(%s, 'Test', 'T-1', 'A')", [serial])

    def publish(self, payload, content_type=None, ask=False):
        payload = as_json(payload) if isinstance(payload, list) else payload
        self.line.publisher.publish(self.topic, payload, content_type,
                                    f"cf/v1/{self.serial}/receipt" if ask else None)

    def send(self, payload):
        """Without waiting for the broker; for streams."""
        return self.line.publisher.send(self.topic, as_json(payload))

    def temperatures(self):
        """What is stored of it, by time and number."""
        rows = self.line.stack.sql("SELECT temperature_c FROM telemetry.reading WHERE device_id = %s "
                                   "ORDER BY ts, epoch, seq, probe", [self.id])
        return [row[0] if row[0] is None else round(row[0], 4) for row in rows]

    def count(self):
        return self.line.stack.value("SELECT count(*) FROM telemetry.reading WHERE device_id = %s", [self.id])

    def quarantine(self):
        """[(reason, detail, payload, content type, seen)], oldest first."""
        return self.line.quarantine(self.topic)

    def receipts(self):
        return [receipt for serial, receipt in list(self.line.publisher.receipts) if serial == self.serial]

    def ask(self, payload):
        """Publishes with a Response Topic and returns the receipt that answers it."""
        before, received = len(self.receipts()), self.line.publisher.received
        self.publish(payload, ask=True)
        with received:
            assert received.wait_for(lambda: self.receipts()[before:], 20 * PATIENCE), f"no receipt for {self.serial}"
        return self.receipts()[before]


class Line:
    """The ingest path of a running stack, with a publisher that may say anything."""

    serials = itertools.count(1)

    def __init__(self, stack):
        self.stack = stack
        self.socket_path = self._settings()["RUN_DIR"] + "/mqtt.sock"
        self._allow_test_user()
        self.publisher = Publisher(self.socket_path)

    def _settings(self):
        lines = (self.stack.dir / "settings").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def _allow_test_user(self):
        folder = self.stack.dir / "broker"
        subprocess.run(["mosquitto_passwd", "-b", folder / "passwords", TEST_USER, TEST_PASSWORD], check=True)
        with open(folder / "acl", "a", encoding="ascii") as acl:
            acl.write(f"\nuser {TEST_USER}\ntopic write cf/v1/+/telemetry\ntopic write cf/v1/+/status\ntopic read cf/v1/+/receipt\n")
        os.kill(self.stack.pid("broker"), signal.SIGHUP)
        wait_for(lambda: "Reloading config" in self.stack.log("mosquitto"), 10, "the broker to reload its users")

    def device(self, name="t"):
        return Device(self, f"{name}-{next(self.serials)}")

    def publish(self, topic, payload, content_type=None):
        self.publisher.publish(topic, payload, content_type)

    def quarantine(self, topic):
        rows = self.stack.sql("SELECT reason, detail, payload, content_type, seen FROM telemetry.quarantine "
                              "WHERE topic = %s ORDER BY id", [topic])
        return [(reason, detail, bytes(payload), kind, seen) for reason, detail, payload, kind, seen in rows]

    def quarantined(self, reason):
        """The counter of that reason."""
        return self.metric(f'quarantined_total{{reason="{reason}"}}')

    def metric(self, name):
        return self.stack.metrics()[f"coldfleet_ingest_{name}"]

    def together(self):
        """with line.together(): what is published meanwhile waits at the broker and comes to ingest at once."""
        return Frozen(self.stack, "ingest")

    def ready(self):
        """(status, words) of /readyz of ingest."""
        return http_get(self.stack.env["COLDFLEET_METRICS_INGEST"].replace("/metrics", "/readyz"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.publisher.close()


class Frozen:
    """A part of the stack that stands still (SIGSTOP) within a with statement; of PostgreSQL every process."""

    def __init__(self, stack, part):
        self.stack, self.part = stack, part

    def _signal(self, number):
        for pid in [self.stack.pid(self.part), *children(self.stack.pid(self.part))]:
            with suppress(ProcessLookupError):  # a process that ended meanwhile stands still, too
                os.kill(pid, number)

    def __enter__(self):
        self._signal(signal.SIGSTOP)

    def __exit__(self, *_):
        self._signal(signal.SIGCONT)


class Ingest:
    """A coldfleet-ingest of a test's own beside the stack's parts, with the stack's configuration file unless another is
    given. Without a client id of its own it takes the place of the stack's."""

    def __init__(self, stack, *settings, config=None):
        name = f"ingest-{next(Line.serials)}"
        self.monitor, self.log_file = stack.dir / f"{name}.sock", stack.dir / "log" / f"{name}.log"
        values = [f"ingest.monitor=unix:{self.monitor}", *settings]
        with open(self.log_file, "wb") as log:
            self.process = subprocess.Popen([BIN / "coldfleet-ingest", "--config", config or stack.dir / "coldfleet.ini",
                                             *[word for value in values for word in ("--set", value)]],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def ready(self):
        """(status, words) of /readyz."""
        return http_get("http://localhost/readyz", self.monitor)

    def metric(self, name):
        found = re.search(rf"^coldfleet_ingest_{re.escape(name)} (\S+)$", http_get("http://localhost/metrics", self.monitor)[1],
                          re.MULTILINE)
        return float(found.group(1)) if found else 0.0

    def wait_ready(self):
        wait_for(lambda: self.ready()[0] == 200, 20, "coldfleet-ingest to be ready")
        return self

    @contextmanager
    def together(self):
        """with ingest.together(): what is published meanwhile comes to it at once."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def kill(self):
        self.process.kill()
        self.process.wait(20)

    def terminate(self):
        """SIGTERM; returns the exit status."""
        self.process.terminate()
        return self.process.wait(40 * PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()


class Stream:
    """STREAM numbered messages of DEVICES devices, given to the broker in the background at a bounded rate."""

    def __init__(self, line, per_second=1500):
        self.line, self.per_second = line, per_second
        self.devices = [line.device("stream") for _ in range(DEVICES)]
        self.ids = [device.id for device in self.devices]
        self.start = round(time.time()) - STREAM
        self.done = in_background(self._send)

    def _send(self):
        began, last = time.monotonic(), None
        for i in range(STREAM):
            last = self.devices[i % DEVICES].send(senml([i], seq=i // DEVICES, start=self.start + i))
            time.sleep(max(0, i / self.per_second - (time.monotonic() - began)))
        # Not wait_for_publish(), which calls a broker that is being started again an error.
        wait_for(lambda: last._published, 60, "the broker to acknowledge")  # pylint: disable=protected-access

    def stored(self):
        return self.line.stack.value("SELECT count(*) FROM telemetry.reading WHERE device_id = ANY(%s)", [self.ids])

    def wait_until_stored(self, count, deadline=40):
        return wait_for(lambda: self.stored() >= count, deadline, f"{count} of {STREAM} readings")

    def assert_complete(self):
        """Every reading is there once with its value, none is in quarantine and no number is missing."""
        self.done.result(60)
        self.wait_until_stored(STREAM)
        rows = self.line.stack.sql("SELECT device_id, seq, temperature_c FROM telemetry.reading "
                                   "WHERE device_id = ANY(%s) ORDER BY temperature_c", [self.ids])
        assert rows == [(self.ids[i % DEVICES], i // DEVICES, i) for i in range(STREAM)]
        states = self.line.stack.sql("SELECT DISTINCT epoch, seq_high, gaps FROM telemetry.device_state "
                                     "WHERE device_id = ANY(%s)", [self.ids])
        assert states == [(0, STREAM // DEVICES - 1, 0)]
        assert [device.quarantine() for device in self.devices] == [[]] * DEVICES


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def http_get(url, unix_socket=None):
    """(status, body); the status is 0 without an answer."""
    path = ["--unix-socket", unix_socket] if unix_socket else []
    run = subprocess.run(["curl", "-s", "--max-time", "5", *path, "-w", "\n%{http_code}", url], capture_output=True, text=True)
    body, _, status = run.stdout.rpartition("\n")
    return int(status), body.strip()


def utc(seconds):
    return datetime.fromtimestamp(seconds, timezone.utc)


def in_background(call, *args, **kwargs):
    """A Future of the call, made by a thread of its own."""
    pool = ThreadPoolExecutor(1)
    future = pool.submit(call, *args, **kwargs)
    pool.shutdown(wait=False)
    return future
