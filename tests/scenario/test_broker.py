# SPDX-License-Identifier: Apache-2.0
"""The broker as configured by ops/mosquitto: who gets in, and that one tracker can neither speak for another, nor hear
it, nor take away what it says."""

import socket
import subprocess
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest

from device import Device, now
from stack import wait_for

TEMPERATURE = {"n": "temp", "u": "Cel", "v": 4.6}


def sign(stack, name):
    """A certificate of the demo's CA for any common name; the file's name. The CA's own tool refuses such names."""
    folder = Path(stack.env["COLDFLEET_CERTS"])
    file = "cn-" + name.encode().hex()
    subject = "/CN=" + "".join("\\" + c if c in "+/=" else c for c in name)
    request = subprocess.run(["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                              folder / f"{file}.key", "-subj", subject], capture_output=True, check=True).stdout
    subprocess.run(["openssl", "x509", "-req", "-CA", folder / "ca.crt", "-CAkey", folder / "ca.key", "-set_serial", "77",
                    "-days", "1", "-out", folder / f"{file}.crt"], input=request, capture_output=True, check=True)
    return file


def stored(stack, serial):
    return stack.sql("select count(*) from telemetry.reading join fleet.device using (device_id) where serial = %s", [serial])[0][0]


def mosquitto_sub(stack, *words):
    socket_path = stack.env["COLDFLEET_DB_OWNER"].split("host=")[1].split("/postgres")[0] + "/mqtt.sock"
    return subprocess.run(["mosquitto_sub", "--unix", socket_path, "-t", "cf/v1/+/telemetry", "-E", *words],
                          capture_output=True, text=True, timeout=30)


def test_connection_without_a_certificate_is_refused(stack):
    with pytest.raises(OSError):
        Device(stack, "spare-01", certificate=False)


def test_clear_text_is_refused(stack):
    with socket.create_connection((stack.env["COLDFLEET_MQTT_HOST"], int(stack.env["COLDFLEET_MQTT_PORT"])), 10) as s:
        s.sendall(bytes.fromhex("101000044d5154540502003c00000373") + b"abc")
        s.settimeout(10)
        try:
            answer = s.recv(100)
        except ConnectionResetError:
            answer = b""
        assert answer[:1] != b"\x20"  # no CONNACK


def test_back_end_user_without_its_password_is_refused(stack):
    assert mosquitto_sub(stack).returncode != 0
    assert mosquitto_sub(stack, "-u", "@ingest", "-P", "guess").returncode != 0
    password = (stack.dir / "secrets" / "mqtt-ingest").read_text()
    assert mosquitto_sub(stack, "-u", "@ingest", "-P", password).returncode == 0


@pytest.mark.parametrize("protocol", [mqtt.MQTTv5, mqtt.MQTTv311])
def test_client_id_of_another_does_not_throw_it_out(stack, protocol):
    with Device(stack, "spare-01") as honest, Device(stack, "spare-02", client_id="spare-01", protocol=protocol) as liar:
        liar.subscribe("cf/v1/spare-01/receipt")
        honest.subscribe(honest.topic("receipt"))
        assert honest.send_for_receipt([TEMPERATURE])["epoch"] == 0
        assert not honest.lost.is_set()
        assert liar.received == []


def test_publishing_on_the_topics_of_another_has_no_effect(stack):
    before = stored(stack, "spare-03")
    with Device(stack, "spare-04") as liar, Device(stack, "spare-03") as honest:
        liar.publish("cf/v1/spare-03/telemetry", '[{"n":"temp","v":-40}]')
        liar.publish("cf/v1/spare-03/receipt", '{"epoch":0,"through":1000000,"missing":[]}')
        honest.subscribe(honest.topic("receipt"))
        assert honest.send_for_receipt([TEMPERATURE])["through"] == -1
    assert stored(stack, "spare-03") == before + 1
    assert stack.value("select count(*) from telemetry.reading where temperature_c = -40") == 0


def test_subscribing_to_everything_yields_only_what_is_ones_own(stack):
    with Device(stack, "spare-01") as curious, Device(stack, "spare-02") as other:
        for wish in ("#", "+/+/+/+", "cf/v1/+/telemetry", "cf/v1/spare-02/receipt", "$SYS/#"):
            curious.subscribe(wish)
        other.subscribe(other.topic("receipt"))
        other.send_for_receipt([TEMPERATURE])
        curious.subscribe(curious.topic("receipt"))
        curious.send_for_receipt([TEMPERATURE])
        assert {topic for topic, _ in curious.received} == {curious.topic("receipt")}


@pytest.mark.parametrize("name", ["+", "#", "spare-01/telemetry", "spare-01/../x"])
def test_certificate_with_a_name_that_means_many_topics_opens_none(stack, name):
    file = sign(stack, name)
    before = stored(stack, "spare-01")
    with Device(stack, name, certificate=file) as wild, Device(stack, "spare-01") as honest:
        for wish in ("#", "cf/v1/+/receipt", "cf/v1/spare-01/receipt"):
            wild.subscribe(wish)
        wild.publish("cf/v1/spare-01/telemetry", '[{"n":"temp","v":-41}]')
        honest.subscribe(honest.topic("receipt"))
        honest.send_for_receipt([TEMPERATURE])
        assert wild.received == []
    assert stored(stack, "spare-01") == before + 1
    assert stack.value("select count(*) from telemetry.reading where temperature_c = -41") == 0


def revoke(stack, serial):
    """A revocation list of the demo's CA that names the certificate of `serial`."""
    folder = Path(stack.env["COLDFLEET_CERTS"])
    (folder / "revoked.txt").touch()
    (folder / "revoke.conf").write_text("[ca]\ndefault_ca=d\n[d]\ndatabase=revoked.txt\ndefault_md=sha256\ndefault_crl_days=1\n")
    ca = ["openssl", "ca", "-config", "revoke.conf", "-cert", "ca.crt", "-keyfile", "ca.key"]
    subprocess.run([*ca, "-revoke", f"{serial}.crt"], cwd=folder, capture_output=True, check=True)
    subprocess.run([*ca, "-gencrl", "-out", "revoked.pem"], cwd=folder, capture_output=True, check=True)
    return folder / "revoked.pem"


def test_tracker_with_a_revoked_certificate_is_shut_out_by_a_restart_and_others_are_not(own_stack):
    with Device(own_stack, "spare-01") as device:
        configuration = own_stack.dir / "broker" / "mosquitto.conf"
        text = configuration.read_text()
        configuration.write_text(text.replace("cafile ", f"crlfile {revoke(own_stack, 'spare-01')}\ncafile "))
        own_stack.restart("broker")
        assert device.lost.wait(20)
    with pytest.raises(OSError):
        Device(own_stack, "spare-01")
    Device(own_stack, "spare-02").close()


def share_group(stack):
    return next(line.split("=")[1].strip() for line in (stack.dir / "coldfleet.ini").read_text().splitlines()
                if line.startswith("share_group"))


def test_member_of_a_guessed_share_group_takes_no_message_away(stack):
    before = stored(stack, "spare-05")
    with Device(stack, "spare-04") as thief, Device(stack, "spare-05") as honest:
        for group in ("ingest", "coldfleet", "coldfleet-ingest", "+", "g"):
            thief.subscribe(f"$share/{group}/cf/v1/+/telemetry")
        for n in range(40):
            honest.send([{"bt": now() - n, **TEMPERATURE}])
        wait_for(lambda: stored(stack, "spare-05") == before + 40, 20, "all 40 readings")
        assert thief.received == []


def test_name_of_the_share_group_is_a_secret_of_128_bits_and_nowhere_in_the_logs(stack):
    """Mosquitto 2.0 checks nothing when a client joins a group, and what it deals to one without rights is gone,
    acknowledged: whoever knows the name could make telemetry vanish until the trackers send it again."""
    group = share_group(stack)
    assert len(group.removeprefix("ingest-")) == 32 and int(group.removeprefix("ingest-"), 16) > 0
    for log in (stack.dir / "log").iterdir():
        assert group not in log.read_text(errors="replace"), log.name
