# SPDX-License-Identifier: Apache-2.0
"""Commands as another implementation makes and reads them (cbor2, cryptography): the bytes that docs/protocol.md prints, what
the signer signs, and what the tracker takes and answers. Nothing of coldfleet's own codec is used on this side."""

import hashlib
import json
import re
import socket
import subprocess
import threading
import time
import uuid

import cbor2
import paho.mqtt.client as mqtt
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from commands import CommandDevice, Commands
from stack import BIN, PATIENCE, ROOT, wait_for

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
TYPE = "application/coldfleet-command+cbor"
PAGE = (ROOT / "docs" / "protocol.md").read_text()
BLOCKS = {(kind, name): text for kind, name, text in re.findall(r"^```text ([\w-]+)=([\w-]+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)}


def dump(kind, name):
    """The bytes of a block: of each line, what stands in front of two spaces."""
    return bytes.fromhex("".join(line.strip().split("  ")[0] for line in BLOCKS[kind, name].splitlines()))


def canonical(value):
    return cbor2.dumps(value, canonical=True)


def kid(public):
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).digest()[:8]


def to_be_signed(header, serial, payload):
    return canonical(["Signature1", header, b"coldfleet-command-v1\0" + serial.encode(), payload])


def verify(public, serial, message):
    """The payload, checked as docs/protocol.md says."""
    parts = cbor2.loads(message)
    assert canonical(parts) == message, "not deterministic"
    header, unprotected, payload, signature = parts
    assert header == canonical({1: -7, 4: kid(public), 16: TYPE}) and unprotected == {} and len(signature) == 64
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    assert 0 < s <= ORDER // 2
    public.verify(utils.encode_dss_signature(r, s), to_be_signed(header, serial, payload), ec.ECDSA(hashes.SHA256()))
    fields = cbor2.loads(payload)
    assert canonical(fields) == payload and fields[4] == serial and fields[1] == 1
    return fields


def sign(key, serial, operation, class_, arguments, counter, lower=True, **changes):
    now = int(time.time())
    fields = {1: 1, 2: hashlib.sha256(f"{serial} {counter}".encode()).digest()[:16], 3: "python", 4: serial, 5: 0, 6: counter, 7: now,
              8: now - 5, 9: now + 600, 10: class_, 11: operation, 12: arguments}
    if class_ >= 3:
        fields[13] = hashlib.sha256(b"approved").digest()
    fields.update({int(name[1:]): value for name, value in changes.items()})
    header, payload = canonical({1: -7, 4: kid(key.public_key()), 16: TYPE}), canonical(fields)
    r, s = utils.decode_dss_signature(key.sign(to_be_signed(header, serial, payload), ec.ECDSA(hashes.SHA256())))
    s = min(s, ORDER - s) if lower else max(s, ORDER - s)
    return canonical([header, {}, payload, r.to_bytes(32, "big") + s.to_bytes(32, "big")])


def pem(public):
    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


class Line:
    """A broker without TLS on the loopback, a tracker at it, and commands by hand."""

    serial = "spare-01"

    def __init__(self, folder):
        self.folder, self.tracker, self.replies, self.arrived = folder, None, [], threading.Condition()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        (folder / "broker.conf").write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\n")
        self.broker = subprocess.Popen(["/usr/sbin/mosquitto", "-c", folder / "broker.conf"], stderr=subprocess.DEVNULL)
        self.client = mqtt.Client("by-hand", protocol=mqtt.MQTTv5)
        self.client.on_message = self._on_message
        wait_for(lambda: self.client.connect("127.0.0.1", self.port) == 0, 10, "the broker")
        self.client.loop_start()
        self.hello = threading.Event()
        self.client.subscribe([(f"cf/v1/{self.serial}/reply", 1), (f"cf/v1/{self.serial}/status", 1)])

    def _on_message(self, _client, _user, message):
        if message.topic.endswith("status"):
            self.hello.set()
            return
        with self.arrived:
            self.replies.append(message.payload)
            self.arrived.notify_all()

    def start(self, public, *options):
        (self.folder / "trust.pem").write_bytes(public)
        (self.folder / "serials").write_text(self.serial + "\n")
        self.hello.clear()
        self.tracker = subprocess.Popen(
            [BIN / "coldfleet-tracker", "run", "--clear", "--host", "127.0.0.1", "--port", str(self.port), "--serials",
             self.folder / "serials", "--certs", self.folder, "--interval", "60", "--epoch", "0", "--flash", self.folder / "flash",
             "--trust", self.folder / "trust.pem", *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        assert self.hello.wait(10 * PATIENCE), "the tracker sent no status"

    def stop(self):
        self.tracker.terminate()
        assert self.tracker.wait(10 * PATIENCE) == 0
        self.tracker = None

    def close(self):
        if self.tracker:
            self.tracker.kill()
            self.tracker.wait()
        self.client.disconnect()
        self.client.loop_stop()
        self.broker.terminate()
        self.broker.wait()

    def give(self, message, count, generation=1):
        """Sends a command and returns the next `count` replies."""
        properties = Properties(PacketTypes.PUBLISH)
        properties.CorrelationData = generation.to_bytes(4, "big")
        with self.arrived:
            before = len(self.replies)
        self.client.publish(f"cf/v1/{self.serial}/command", message, 1, properties=properties)
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.replies) >= before + count, 10 * PATIENCE), self.replies[before:]
            return self.replies[before:before + count]

    def acts(self):
        path = self.folder / "flash" / f"{self.serial}.acts"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def line(tmp_path):
    line = Line(tmp_path)
    try:
        yield line
    finally:
        line.close()


@pytest.fixture(scope="module")
def key():
    return ec.generate_private_key(ec.SECP256R1())


def test_command_of_the_page_verifies_and_says_what_the_page_says():
    public = serialization.load_pem_public_key(BLOCKS["command-key", "example"].encode())
    fields = verify(public, "spare-01", dump("command", "disable"))
    assert fields[11] == "disable" and fields[12] == {"mode": "halt"} and fields[6] == 7
    with pytest.raises(InvalidSignature):
        verify(public, "spare-02", dump("command", "disable"))


def test_tracker_answers_the_command_of_the_page_as_the_page_prints_it(line):
    line.start(BLOCKS["command-key", "example"].encode(), "--no-clock")
    assert line.give(dump("command", "disable"), 2) == [dump("reply", "accepted"), dump("reply", "succeeded")]
    assert len(line.acts()) == 1


def test_tracker_that_knows_the_time_rejects_the_command_of_the_page_when_it_has_expired(line):
    line.start(BLOCKS["command-key", "example"].encode())
    reply = cbor2.loads(line.give(dump("command", "disable"), 1)[0])
    assert reply[3] == "rejected" and ("expired" in reply[4] or "not before" in reply[4]) and line.acts() == []


def test_commands_made_by_another_implementation_are_carried_out_and_answered(line, key):
    line.start(pem(key.public_key()))
    for counter, (operation, class_, arguments) in enumerate([
            ("locate", 1, {}), ("report-now", 1, {}), ("resend", 1, {"first": 0, "last": 5}),
            ("set-config", 2, {"version": 3, "config": {"interval": 60, "limits": [2.0, 8.5], "name": "Kühlbox"}}), ("clear-config", 2, {}),
            ("disable", 3, {"mode": "radio-off"}), ("enable", 3, {}), ("restore-defaults", 3, {})], start=1):
        message = sign(key, line.serial, operation, class_, arguments, counter)
        accepted, outcome = map(cbor2.loads, line.give(message, 2))
        assert accepted[3] == "accepted" and outcome[3] == "succeeded", (operation, outcome)
        assert accepted[2] == counter and accepted[8] == 1 and abs(accepted[6] - time.time()) < 60
        again = cbor2.loads(line.give(message, 1, generation=2)[0])
        assert again[3] == "succeeded" and again[8] == 2
    assert len(line.acts()) == 8


def test_tracker_refuses_what_another_implementation_makes_wrongly(line, key):
    line.start(pem(key.public_key()))
    assert cbor2.loads(line.give(sign(key, line.serial, "locate", 1, {}, 5), 2)[1])[3] == "succeeded"
    stranger = ec.generate_private_key(ec.SECP256R1())
    foreign = [sign(stranger, line.serial, "locate", 1, {}, 6), sign(key, "spare-02", "locate", 1, {}, 6),
               sign(key, line.serial, "locate", 1, {}, 6, lower=False), sign(key, line.serial, "locate", 1, {}, 6)[:-1], b"hello", b""]
    for message in foreign:
        reply = cbor2.loads(line.give(message, 1)[0])
        assert reply[3] == "rejected" and reply[1] == bytes(16) and reply[2] == 0
        assert reply[5] == {"sha256": hashlib.sha256(message).hexdigest()}
    known = [sign(key, line.serial, "locate", 1, {}, 4), sign(key, line.serial, "dance", 1, {}, 6),
             sign(key, line.serial, "locate", 2, {}, 6), sign(key, line.serial, "locate", 1, {"x": 1}, 6),
             sign(key, line.serial, "locate", 1, {}, 6, f9=int(time.time()) - 1, f7=0, f8=0),
             sign(key, line.serial, "disable", 3, {}, 6)]
    for message in known:
        reply = cbor2.loads(line.give(message, 1)[0])
        assert reply[3] == "rejected" and reply[1] != bytes(16) and reply[4], reply
    assert len(line.acts()) == 1


def test_disabled_tracker_stays_disabled_over_restart_until_enable(line, key):
    line.start(pem(key.public_key()))
    assert cbor2.loads(line.give(sign(key, line.serial, "disable", 3, {"mode": "halt"}, 1), 2)[1])[3] == "succeeded"
    line.stop()
    line.start(pem(key.public_key()))
    report = cbor2.loads(line.give(sign(key, line.serial, "report-now", 1, {}, 2), 2)[1])
    assert report[3] == "failed" and "disabled" in report[4] and report[7] == 2
    assert cbor2.loads(line.give(sign(key, line.serial, "enable", 3, {}, 3), 2)[1])[3] == "succeeded"
    assert cbor2.loads(line.give(sign(key, line.serial, "report-now", 1, {}, 4), 2)[1])[3] == "succeeded"


def test_tracker_killed_between_counter_and_act_says_failed_and_never_acts(line, key):
    line.start(pem(key.public_key()), "--die-after-persist")
    message = sign(key, line.serial, "disable", 3, {"mode": "halt"}, 1)
    line.client.publish(f"cf/v1/{line.serial}/command", message, 1)
    line.tracker.wait(10 * PATIENCE)
    line.start(pem(key.public_key()))
    wait_for(lambda: line.replies, 10, "the outcome")
    assert cbor2.loads(line.replies[0])[3] == "failed" and line.acts() == []
    again = cbor2.loads(line.give(message, 1)[0])
    assert again[3] == "failed" and line.acts() == []


def test_tracker_killed_between_act_and_outcome_brings_it_to_its_end_when_it_starts(line, key):
    line.start(pem(key.public_key()), "--die-after-persist")
    message = sign(key, line.serial, "report-now", 1, {}, 1)
    line.client.publish(f"cf/v1/{line.serial}/command", message, 1)
    line.tracker.wait(10 * PATIENCE)
    # What the flash holds when the power goes a moment later.
    command = cbor2.loads(cbor2.loads(message)[2])[2].hex()
    (line.folder / "flash" / f"{line.serial}.acts").write_text(json.dumps({"command_id": str(uuid.UUID(command))}) + "\n")
    line.start(pem(key.public_key()))
    wait_for(lambda: line.replies, 10, "the outcome")
    assert cbor2.loads(line.replies[0])[3] == "succeeded" and len(line.acts()) == 1
    line.stop()


def test_what_the_signer_signs_verifies_in_another_implementation(stack):
    with open(stack.env["COLDFLEET_TRUST"], "rb") as f:
        public = serialization.load_pem_public_key(f.read())
    commands = Commands(stack)
    with CommandDevice(stack, "spare-02", answers=("accepted", "succeeded")) as device:
        for operation, arguments in (("locate", {}), ("resend", {"first": 3, "last": 9}), ("disable", {"mode": "halt"}), ("enable", {})):
            commands.order("spare-02", operation, **arguments)
        for received in device.wait_commands(4):
            fields = verify(public, "spare-02", received.bytes)
            assert fields[11] == received.operation and (13 in fields) == (fields[10] >= 3)
            with pytest.raises(InvalidSignature):
                verify(public, "spare-03", received.bytes)
