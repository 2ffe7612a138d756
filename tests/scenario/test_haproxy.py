# SPDX-License-Identifier: Apache-2.0
"""The example configuration of HAProxy, checked by HAProxy itself, and in front of two processes of which one stops."""

import shutil
import subprocess

import pytest

from api_process import api_processes, certificate, free_port
from stack import ROOT, wait_for

EXAMPLE = ROOT / "ops/haproxy/haproxy.cfg.example"
HAPROXY = shutil.which("haproxy", path="/usr/sbin")


@pytest.fixture
def api(stack, tmp_path):
    with api_processes(stack, tmp_path) as make:
        yield make


def configured(tmp_path, changed):
    """The example with a certificate for the test and other addresses, and the certificate."""
    cert, key = certificate(tmp_path, "proxy")
    (tmp_path / "api.pem").write_text(cert.read_text() + key.read_text())
    text = EXAMPLE.read_text()
    for old, new in {"/etc/coldfleet/tls/api.pem": tmp_path / "api.pem", **changed}.items():
        assert old in text
        text = text.replace(old, str(new))
    file = tmp_path / "haproxy.cfg"
    file.write_text(text)
    return file, cert


def test_example_is_taken_by_haproxy_without_a_warning(tmp_path):
    file, _ = configured(tmp_path, {})
    run = subprocess.run([HAPROXY, "-c", "-f", file], capture_output=True, text=True, timeout=20)
    assert run.returncode == 0 and "WARNING" not in run.stderr, run.stderr


def test_no_request_fails_while_one_process_behind_haproxy_stops(api, tmp_path):
    checked = [free_port(), free_port()]
    first, second = (api(monitor_port=port) for port in checked)
    port = free_port()
    file, cert = configured(tmp_path, {
        "bind :443": f"bind 127.0.0.1:{port}",
        "127.0.0.1:8470 check port 9642": f"127.0.0.1:{first.port} check port {checked[0]}",
        "127.0.0.1:8471 check port 9652": f"127.0.0.1:{second.port} check port {checked[1]}"})
    log = open(tmp_path / "haproxy.log", "w", encoding="utf-8")
    proxy = subprocess.Popen([HAPROXY, "-db", "-f", file], stdout=log, stderr=log)

    def ask():
        run = subprocess.run(["curl", "-s", "--cacert", cert, "-o", tmp_path / "body", "-w", "%{http_code}",
                              "-H", f"Authorization: Bearer {first.token}", f"https://localhost:{port}/v1/devices?limit=1"],
                             capture_output=True, text=True, timeout=30)
        return run.stdout

    try:
        wait_for(lambda: ask() == "200", 20, "HAProxy to find the processes")
        seen = [ask() for _ in range(20)]
        assert first.stop() == 0
        seen += [ask() for _ in range(20)]
        assert set(seen) == {"200"}, seen
    finally:
        proxy.terminate()
        proxy.wait(20)
        log.close()
        print((tmp_path / "haproxy.log").read_text()[-2000:])
