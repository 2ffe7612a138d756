# SPDX-License-Identifier: Apache-2.0
"""TLS in the process, and several processes on one port: who gets in and how, what a renewed certificate does to those
who are connected, what slow and silent clients cost, and that nobody notices when one process of two stops."""

import contextlib
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest

from api_process import GET, api_processes, certificate, free_port, read_all, read_answer
from stack import BIN, PATIENCE, wait_for


@pytest.fixture
def api(stack, tmp_path):
    with api_processes(stack, tmp_path) as make:
        yield make


@pytest.fixture
def tls(api, tmp_path):
    """Makes APIs that speak TLS with the certificate in server.crt."""
    cert, key = certificate(tmp_path, "server")

    def make(**settings):
        return api(**{"tls_cert": cert, "tls_key": key, "trust": cert, **settings})

    return make


def refused(server, context):
    """Does the server end the connection of such a client without an answer?"""
    try:
        with server.connect(context) as s:
            s.sendall(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            return read_all(s) == b""
    except (ssl.SSLError, OSError):
        return True


def test_requests_are_served_over_tls_and_each_answer_is_whole(tls):
    server = tls()
    with server.connect() as s:
        assert s.version() == "TLSv1.3"
        for _ in range(3):
            s.sendall(GET * 5)
            for _ in range(5):
                assert read_answer(s)[0] == 200
    status, fields, body = server.get("/v1/devices?limit=1000")
    assert status == 200 and body.startswith(b'{"items":[')
    assert fields["strict-transport-security"].startswith("max-age=")
    assert server.get("/v1/devices", token=None)[0] == 401


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_old_protocols_and_weak_ciphers_are_refused(tls, tmp_path):
    server = tls()
    old = ssl.create_default_context(cafile=str(tmp_path / "server.crt"))
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    assert refused(server, old)
    for cipher, taken in (("AES128-SHA", False), ("ECDHE-ECDSA-AES128-SHA", False), ("ECDHE-ECDSA-AES128-GCM-SHA256", True)):
        context = ssl.create_default_context(cafile=str(tmp_path / "server.crt"))
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(cipher)
        assert refused(server, context) is not taken, cipher


def test_only_http_1_1_is_agreed_on(tls, tmp_path):
    server = tls()
    for offered, agreed in ((["h2", "http/1.1"], "http/1.1"), (["h2"], None)):
        context = ssl.create_default_context(cafile=str(tmp_path / "server.crt"))
        context.set_alpn_protocols(offered)
        if agreed:
            with server.connect(context) as s:
                assert s.selected_alpn_protocol() == agreed
        else:
            assert refused(server, context)


def test_clear_text_to_the_tls_port_gets_no_answer(tls):
    server = tls()
    with server.raw() as s:
        s.sendall(GET)
        assert b"HTTP/" not in read_all(s)
    wait_for(lambda: server.metric("coldfleet_api_tls_handshakes_failed_total") == 1, 10, "the metric")
    assert server.get("/healthz")[0] == 200


def test_client_without_a_certificate_of_the_client_ca_is_refused(tls, tmp_path):
    certificate(tmp_path, "ca", "/CN=ca")
    good = certificate(tmp_path, "client", "/CN=dashboard", ca="ca")
    stranger = certificate(tmp_path, "stranger", "/CN=dashboard")
    with_good, with_stranger, without = (ssl.create_default_context(cafile=str(tmp_path / "server.crt")) for _ in range(3))
    with_good.load_cert_chain(*good)
    with_stranger.load_cert_chain(*stranger)
    server = tls(tls_client_ca=tmp_path / "ca.crt", context=with_good)
    assert server.get("/healthz")[0] == 200
    assert refused(server, with_stranger) and refused(server, without)


def test_renewed_certificate_is_taken_over_without_breaking_a_connection(tls, tmp_path):
    server = tls()

    def shown():
        with server.connect(anybody) as s:
            return s.getpeercert(binary_form=True)

    anybody = ssl._create_unverified_context()
    first = shown()
    with server.connect() as before:
        certificate(tmp_path, "server")
        server.signal(signal.SIGHUP)
        wait_for(lambda: shown() != first, 10, "the new certificate")
        before.sendall(GET)
        assert read_answer(before)[0] == 200
    second = shown()
    (tmp_path / "server.crt").write_text("not a certificate")
    server.signal(signal.SIGHUP)
    wait_for(lambda: "the certificate in use stays: tls_cert" in server.log(), 10, "the refusal")
    assert shown() == second


def test_wrong_files_are_refused_at_start_with_their_reason(stack, tmp_path):
    cert, key = certificate(tmp_path, "server")
    _, other = certificate(tmp_path, "other")
    locked = tmp_path / "locked.key"
    subprocess.run(["openssl", "ec", "-in", key, "-aes256", "-passout", "pass:x", "-out", locked], check=True, capture_output=True)
    for settings, said in (({"tls_cert": cert}, "tls_key"), ({"tls_key": key}, "tls_cert"),
                           ({"tls_cert": cert, "tls_key": other}, "key values mismatch"),
                           ({"tls_cert": cert, "tls_key": locked}, "tls_key"),
                           ({"tls_client_ca": cert}, "tls_client_ca without"),
                           ({"tls_cert": cert, "tls_key": key, "tls_client_ca": key}, "tls_client_ca")):
        words = [w for k, v in settings.items() for w in ("--set", f"api.{k}={v}")]
        run = subprocess.run([BIN / "coldfleet-api", "--config", stack.dir / "coldfleet.ini", "--set", "api.monitor=",
                              "--set", f"api.listen=127.0.0.1:{free_port()}", *words], capture_output=True, text=True,
                             stdin=subprocess.DEVNULL, timeout=20 * PATIENCE)
        assert run.returncode == 1 and said in run.stderr, (settings, run.stderr)


def test_tls_may_be_served_beyond_this_machine(tls):
    port = free_port()
    server = tls(port=port, listen=f"0.0.0.0:{port}")
    assert server.get("/healthz")[0] == 200


@pytest.mark.parametrize("sent", [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01"], ids=["silent", "one byte", "half a record"])
def test_handshake_that_does_not_end_is_ended(tls, sent):
    server = tls(handshake_timeout="500ms", idle_timeout="60s")
    begin = time.monotonic()
    with server.raw() as s:
        s.sendall(sent)
        assert read_all(s) == b""
    assert 0.4 <= time.monotonic() - begin < 5 * PATIENCE


def test_handshake_byte_by_byte_ends_at_the_same_deadline(tls):
    server = tls(handshake_timeout="1s")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl._create_unverified_context().wrap_bio(incoming, outgoing)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    begin = time.monotonic()
    with server.raw() as s, contextlib.suppress(ConnectionResetError, BrokenPipeError):
        s.settimeout(0.1)
        for byte in outgoing.read():
            s.sendall(bytes([byte]))
            with contextlib.suppress(TimeoutError):
                assert s.recv(1) == b""
                break
    assert 0.9 <= time.monotonic() - begin < 5 * PATIENCE


def test_two_thousand_idle_connections_leave_the_rest_served(tls):
    server = tls(max_connections=2100)
    before = server.rss_mib()
    with contextlib.ExitStack() as held:
        context = ssl._create_unverified_context()
        for _ in range(2000):
            held.enter_context(server.connect(context))
        begin = time.monotonic()
        for _ in range(20):
            assert server.get("/v1/devices?limit=1")[0] == 200
        assert (time.monotonic() - begin) / 20 < 0.25 * PATIENCE
        assert server.metric("coldfleet_api_connections") >= 2000
        print(f"rss {before:.1f} -> {server.rss_mib():.1f} MiB")
        if PATIENCE == 1:
            assert server.rss_mib() - before < 64


def hammer(server, stop, outcomes, keep):
    """Requests without a pause until told to stop; notes what is not 200."""
    while not stop.is_set():
        try:
            with server.connect() as s:
                for _ in range(20 if keep else 1):
                    s.sendall(GET)
                    status, fields, _ = read_answer(s)
                    outcomes.append(status)
                    if fields.get("connection") == "close" or stop.is_set():
                        break
        except (OSError, IndexError) as e:
            outcomes.append(e)


@pytest.mark.parametrize("kind", ["clear", "tls", "shared"])
def test_one_process_of_two_on_a_port_stops_and_no_request_fails(api, tmp_path, kind):
    settings = {"reuse_port": "yes"}
    if kind == "tls":
        cert, key = certificate(tmp_path, "server")
        settings.update(tls_cert=cert, tls_key=key, trust=cert)
    with contextlib.closing(socket.create_server(("127.0.0.1", 0), backlog=512)) as both:
        if kind == "shared":
            settings = {"passed": both}
        first = api(**settings)
        second = api(**settings) if kind == "shared" else api(port=first.port, **settings)
        stop, outcomes = threading.Event(), []
        clients = [threading.Thread(target=hammer, args=(first, stop, outcomes, keep)) for keep in (True, True, False, False)]
        for client in clients:
            client.start()

        def both_served():
            return all(s.metric('coldfleet_api_answers_total{class="2xx"}') > 20 for s in (first, second))

        wait_for(both_served, 20, "both to serve")
        assert first.stop() == 0
        already = len(outcomes)
        wait_for(lambda: len(outcomes) > already + 100, 20, "the other one to go on")
        stop.set()
        for client in clients:
            client.join()
        assert set(outcomes) == {200}, [o for o in outcomes if o != 200][:5]


def test_a_socket_that_systemd_holds_loses_no_connection_while_nobody_serves_it(api):
    with contextlib.closing(socket.create_server(("127.0.0.1", 0), backlog=512)) as held:
        first = api(passed=held)
        assert first.stop() == 0
        with first.raw() as early:
            early.sendall(GET)
            api(passed=held)
            assert read_answer(early)[0] == 200


@pytest.mark.parametrize("environ, words", [({}, "no socket was passed"), ({"LISTEN_FDS": "2"}, "expected one socket to be passed"),
                                            ({"LISTEN_FDS": "1"}, "no socket that listens")], ids=["none", "two", "no listener"])
def test_without_the_socket_that_it_was_promised_it_does_not_start(stack, environ, words):
    command = [BIN / "coldfleet-api", "--config", stack.dir / "coldfleet.ini", "--set", "api.monitor=", "--set", "api.listen=systemd"]
    export = "LISTEN_PID=$$ exec 3</dev/null; " + "".join(f"export {k}={v}; " for k, v in environ.items())
    run = subprocess.run(["sh", "-c", export + 'LISTEN_PID=$$ exec "$@"', "sh", *command], capture_output=True, text=True, timeout=20 * PATIENCE)
    assert run.returncode == 1 and words in run.stderr, run


def test_without_reuse_port_a_second_process_is_refused(api, stack):
    first = api()
    run = subprocess.run([BIN / "coldfleet-api", "--config", stack.dir / "coldfleet.ini", "--set", "api.monitor=", "--set",
                          f"api.listen=127.0.0.1:{first.port}"], capture_output=True, text=True, timeout=20 * PATIENCE)
    assert run.returncode == 1 and "cannot listen on" in run.stderr
