# SPDX-License-Identifier: Apache-2.0
"""Who gets in at the broker, with the tools that anybody has (mosquitto_pub, mosquitto_sub, openssl), and what a device
may do with a certificate of its own."""

import subprocess
import time
from pathlib import Path

import pytest

from ingest_helpers import Line, as_json, senml
from stack import wait_for

NOW = round(time.time())
NOT_AUTHORIZED = "Not authorized"  # mosquitto_pub's words for reason code 0x87


@pytest.fixture(scope="module")
def line(stack):
    with Line(stack) as line:
        yield line


class Certificates:
    """Certificates that the demo would not make: of another authority, expired, self-signed."""

    def __init__(self, folder):
        self.folder = Path(folder)

    def _openssl(self, *words):
        subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, cwd=self.folder)

    def authority(self, name):
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                      "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.crt")
        return self.folder / f"{name}.crt", self.folder / f"{name}.key"

    def device(self, serial, authority, days="1"):
        certificate, key = authority
        self._openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={serial}",
                      "-keyout", f"{serial}.key", "-out", f"{serial}.csr")
        self._openssl("x509", "-req", "-in", f"{serial}.csr", "-CA", certificate, "-CAkey", key, "-set_serial", "7",
                      "-days", days, "-out", f"{serial}.crt")
        return self.folder / f"{serial}.crt", self.folder / f"{serial}.key"


def client(line, program, *words, identity=None, version="5"):
    """Runs mosquitto_pub or mosquitto_sub against the TLS listener; `identity` is (certificate, key)."""
    env = line.stack.env
    own = ["--cert", identity[0], "--key", identity[1]] if identity else []
    return subprocess.run([program, "-h", env["COLDFLEET_MQTT_HOST"], "-p", env["COLDFLEET_MQTT_PORT"], "--cafile",
                           env["COLDFLEET_CA"], *own, "-V", version, *words], capture_output=True, text=True, timeout=30)


def publish(line, serial, payload, **options):
    message = as_json(payload) if isinstance(payload, list) else payload
    return client(line, "mosquitto_pub", "-q", "1", "-t", f"cf/v1/{serial}/telemetry", "-m", message, **options)


def demo_identity(line, serial):
    folder = Path(line.stack.env["COLDFLEET_CERTS"])
    return folder / f"{serial}.crt", folder / f"{serial}.key"


def rows(line, serial):
    return line.stack.value("SELECT count(*) FROM telemetry.reading JOIN fleet.device USING (device_id) WHERE serial = %s",
                            [serial])


@pytest.mark.parametrize("version", ["5", "311"])
def test_certificate_of_the_fleet_publishes_its_own_telemetry(line, version):
    before = rows(line, "spare-01")
    sent = publish(line, "spare-01", senml([4.5], start=NOW - int(version)), identity=demo_identity(line, "spare-01"),
                   version=version)
    assert (sent.returncode, sent.stderr) == (0, "")
    wait_for(lambda: rows(line, "spare-01") == before + 1, 20, "the reading")


def test_connection_without_a_certificate_is_refused(line):
    sent = publish(line, "spare-01", senml([-40]))
    assert sent.returncode != 0 and sent.stderr


def test_certificate_of_another_authority_is_refused(line, tmp_path):
    certificates = Certificates(tmp_path)
    identity = certificates.device("spare-01", certificates.authority("Coldfleet-CA"))
    assert publish(line, "spare-01", senml([-40]), identity=identity).returncode != 0


def test_self_signed_certificate_with_the_name_of_a_device_is_refused(line, tmp_path):
    assert publish(line, "spare-01", senml([-40]), identity=Certificates(tmp_path).authority("spare-01")).returncode != 0


def test_certificate_of_one_device_signs_no_other(line, tmp_path):
    identity = Certificates(tmp_path).device("spare-02", demo_identity(line, "spare-01"))
    chain = tmp_path / "chain.crt"
    chain.write_text(identity[0].read_text() + demo_identity(line, "spare-01")[0].read_text())
    for certificate in (identity[0], chain):
        assert publish(line, "spare-02", senml([-40]), identity=(certificate, identity[1])).returncode != 0


def test_expired_certificate_is_refused(line, tmp_path):
    fleet = Path(line.stack.env["COLDFLEET_CERTS"])
    identity = Certificates(tmp_path).device("spare-01", (fleet / "ca.crt", fleet / "ca.key"), days="-1")
    assert publish(line, "spare-01", senml([-40]), identity=identity).returncode != 0


def test_nothing_that_was_refused_is_stored_or_in_quarantine(line):
    """Runs after the refusals above; a reading of our own is behind them all."""
    before = rows(line, "spare-01")
    publish(line, "spare-01", senml([5.5], start=NOW - 9000), identity=demo_identity(line, "spare-01"))
    wait_for(lambda: rows(line, "spare-01") == before + 1, 20, "the reading")
    assert line.stack.value("SELECT count(*) FROM telemetry.reading WHERE temperature_c = -40") == 0
    assert line.stack.value("SELECT count(*) FROM telemetry.quarantine") == 0


@pytest.mark.parametrize("version", ["5", "311"])
def test_topics_that_are_not_ones_own_are_refused_and_nothing_is_stored(line, version):
    identity, messages = demo_identity(line, "spare-03"), line.metric("messages_total")
    for topic in ("cf/v1/spare-04/telemetry", "cf/v1/spare-03/receipt", "cf/v1/spare-04/command", "cf/v1/nobody/telemetry",
                  "cf/v1/" + "x" * 300 + "/telemetry", "other"):
        sent = client(line, "mosquitto_pub", "-q", "1", "-t", topic, "-m", as_json(senml([-41])).decode(), identity=identity,
                      version=version)
        if version == "5":
            assert NOT_AUTHORIZED in sent.stderr, topic
    publish(line, "spare-03", senml([1.5], start=NOW), identity=identity)
    wait_for(lambda: line.metric("messages_total") > messages, 20, "the message of its own")
    assert line.metric("messages_total") == messages + 1
    assert line.stack.value("SELECT count(*) FROM telemetry.reading WHERE temperature_c = -41") == 0


def test_subscriptions_to_others_and_wildcards_bring_nothing(line):
    """mosquitto_sub ends with the first message: the receipt of its own, whatever else goes round meanwhile."""
    env, (certificate, key) = line.stack.env, demo_identity(line, "spare-05")
    filters = ["#", "cf/#", "cf/v1/+/telemetry", "cf/v1/+/receipt", "cf/v1/spare-04/receipt", "cf/v1/+/command", "$SYS/#"]
    listener = subprocess.Popen(
        ["stdbuf", "-oL", "mosquitto_sub", "-h", env["COLDFLEET_MQTT_HOST"], "-p", env["COLDFLEET_MQTT_PORT"],
         "--cafile", env["COLDFLEET_CA"], "--cert", certificate, "--key", key, "-V", "5", "-q", "1", "-C", "1", "-W", "30", "-F", "%t %p", "-d",
         *[word for wish in filters for word in ("-t", wish)], "-t", "cf/v1/spare-05/receipt"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said = []
    try:
        for row in listener.stdout:
            said.append(row)
            if "SUBACK" in row:
                break
        for so_far in range(3):  # one after the other, for a batch has one receipt for a device
            publish(line, "spare-04", senml([1], start=NOW, rr=True), identity=demo_identity(line, "spare-04"))
            wait_for(lambda n=so_far: [s for s, _ in line.publisher.receipts].count("spare-04") > n, 20, "a receipt of the other")
        line.publish("cf/v1/spare-05/telemetry", as_json(senml([7], seq=0, start=NOW, rr=True)))
        rest, _ = listener.communicate(timeout=40)
    finally:
        listener.kill()
    heard = [row for row in said + rest.splitlines() if row.startswith(("cf/", "$SYS"))]
    assert heard == ['cf/v1/spare-05/receipt {"epoch":0,"through":0,"missing":[]}']
