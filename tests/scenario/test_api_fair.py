# SPDX-License-Identifier: Apache-2.0
"""What coldfleet-api does for browsers, for thin lines and against greed: compressed answers, pages of other origins,
limits on how often one may ask, and slow clients in numbers that leave the rest served."""

import contextlib
import gzip
import http.client
import json
import re
import socket
import time

import pytest

from api_process import GET, api_processes, read_answer
from stack import PATIENCE, wait_for


@pytest.fixture
def api(stack, tmp_path):
    with api_processes(stack, tmp_path) as make:
        yield make


@pytest.fixture(scope="module")
def many(stack):
    """Enough devices for a long answer."""
    stack.sql("""SELECT count(fleet.register_device('many-' || n, 'Acme', 'CT-1', 'B')) FROM generate_series(1, 600) AS n""")


# Compression


def test_long_answer_is_compressed_for_who_takes_it_and_the_same(api, many):
    server = api()
    path = "/v1/devices?limit=500"
    status, plain_fields, plain = server.get(path)
    assert status == 200 and "content-encoding" not in plain_fields and plain_fields["vary"] == "Accept-Encoding"
    status, fields, packed = server.get(path, "Accept-Encoding: br, gzip;q=0.5")
    assert status == 200 and fields["content-encoding"] == "gzip" and fields["vary"] == "Accept-Encoding"
    assert gzip.decompress(packed) == plain and len(packed) * 4 < len(plain)
    assert "content-encoding" not in server.get(path, "Accept-Encoding: gzip;q=0")[1]


def test_short_answers_and_those_with_an_etag_are_not_compressed(api):
    server = api()
    for path in ("/healthz", "/v1/nope", "/v1/devices?limit=0", "/v1/devices?limit=1"):
        _, fields, body = server.get(path, "Accept-Encoding: gzip")
        assert "content-encoding" not in fields or len(gzip.decompress(body)) >= 1024, path


def streamed(server, path, *fields):
    """A chunked answer: status, fields, body."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20 * PATIENCE)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {server.token}", **dict(fields)})
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def test_streamed_answer_is_compressed_for_who_takes_it_and_the_same(api, many):
    server = api()
    path = "/v1/devices:export?format=ndjson"
    status, fields, plain = streamed(server, path)
    assert status == 200 and fields["transfer-encoding"] == "chunked" and "content-encoding" not in fields
    assert plain.count(b"\n") >= 600
    status, fields, packed = streamed(server, path, ("Accept-Encoding", "gzip"))
    assert status == 200 and fields["content-encoding"] == "gzip" and len(packed) * 4 < len(plain)
    assert gzip.decompress(packed) == plain


# Browsers


def test_without_configuration_no_page_may_call(api):
    server = api()
    _, fields, _ = server.get("/v1/devices", "Origin: https://dash.example")
    assert not any(name.startswith("access-control-") for name in fields)
    assert server.get("/v1/devices", "Origin: https://dash.example", "Access-Control-Request-Method: GET", method="OPTIONS")[0] == 405


def preflight(server, origin, path="/v1/devices"):
    with server.connect() as s:
        s.sendall(f"OPTIONS {path} HTTP/1.1\r\nHost: a\r\nOrigin: {origin}\r\nAccess-Control-Request-Method: GET\r\n"
                  "Connection: close\r\n\r\n".encode())
        data = b""
        while piece := s.recv(65536):
            data += piece
    return int(data.split()[1]), {k.lower(): v for k, v in re.findall(r"^([\w-]+): (.*)\r$", data.decode(), re.MULTILINE)}


def test_pages_of_configured_origins_may_call_and_others_may_not(api):
    server = api(cors_origins="https://dash.example, https://ops.example:8443")
    for origin in ("https://dash.example", "https://ops.example:8443"):
        status, fields = preflight(server, origin)
        assert status == 204 and "content-length" not in fields
        assert fields["access-control-allow-origin"] == origin
        assert "GET" in fields["access-control-allow-methods"] and "Authorization" in fields["access-control-allow-headers"]
        for path, token, expected in (("/v1/devices", True, 200), ("/v1/devices", False, 401), ("/v1/nope", True, 404)):
            status, fields, _ = server.get(path, f"Origin: {origin}", token=token)
            assert status == expected and fields["access-control-allow-origin"] == origin
            assert "access-control-allow-credentials" not in fields
    for origin in ("https://dash.example.evil", "http://dash.example", "https://dash.example:8443", "null", "https://DASH.example"):
        assert preflight(server, origin)[0] == 405
        assert "access-control-allow-origin" not in server.get("/v1/devices", f"Origin: {origin}")[1]
    assert preflight(server, "https://dash.example", "/v1/nope")[0] == 404


def test_every_answer_forbids_what_a_browser_must_not_do(api):
    server = api()
    for path in ("/healthz", "/v1/devices", "/v1/nope"):
        _, fields, _ = server.get(path)
        assert fields["content-security-policy"].startswith("default-src 'none'")
        assert fields["referrer-policy"] == "no-referrer" and fields["x-content-type-options"] == "nosniff"
        assert "strict-transport-security" not in fields, "clear text cannot promise TLS"


# Limits


def test_token_that_asks_too_often_gets_429_and_is_told_when_to_come_back(api, stack):
    server = api(rate_per_token=1, burst_per_token=5)
    seen = [server.get("/v1/devices?limit=1") for _ in range(8)]
    assert [s for s, _, _ in seen[:5]] == [200] * 5 and 429 in [s for s, _, _ in seen[5:]]
    assert seen[0][1]["ratelimit-policy"] == '"token";q=5;w=5'
    assert seen[0][1]["ratelimit"] == '"token";r=4;t=1'
    fields, body = next((f, b) for s, f, b in seen if s == 429)
    assert int(fields["retry-after"]) >= 1 and fields["ratelimit"].startswith('"token";r=0;')
    assert json.loads(body)["type"] == "urn:coldfleet:problem:rate-limited"
    other = stack.env["COLDFLEET_TOKEN_ADMIN"]
    assert server.get("/v1/devices?limit=1", token=other)[0] == 200, "another token has its own"
    assert server.get("/healthz")[0] == 200, "whether we live may always be asked"
    wait_for(lambda: server.get("/v1/devices?limit=1")[0] == 200, 10, "a request to be allowed again")
    assert server.metric("coldfleet_api_rate_limited_total") >= 1


def test_address_is_limited_whatever_tokens_it_tries(api):
    server = api(rate_per_address=1, burst_per_address=5, rate_per_token=0)
    statuses = [server.get("/v1/devices", token=f"cf_{n:043d}")[0] for n in range(12)]
    assert statuses[:5] == [401] * 5 and 429 in statuses[5:]
    assert server.get("/healthz")[0] == 200


# Slow clients


def test_idle_and_slow_clients_in_numbers_leave_the_rest_served(api, many):
    """2,000 idle connections, and 1,000 that ask for a long answer and do not read it."""
    server = api(max_connections=3200, rate_per_token=0, connections=2)
    before = server.rss_mib()
    ask = (f"GET /v1/devices?limit=200 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {server.token}\r\n\r\n").encode()
    with contextlib.ExitStack() as held:
        for _ in range(2000):
            held.enter_context(server.connect())
        for n in range(1000):
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            held.enter_context(s)
            s.connect(("127.0.0.1", server.port))
            s.sendall(ask)
            if n % 100 == 99:  # no more than the database may have in its queue
                wait_for(lambda: server.metric('coldfleet_api_answers_total{class="2xx"}') > n, 20, "the slow ones to be answered")
        took = []
        for _ in range(50):
            begin = time.monotonic()
            assert server.get("/v1/devices?limit=1")[0] == 200
            took.append(time.monotonic() - begin)
        print(f"slowest of 50: {max(took) * 1e3:.1f} ms, rss {before:.1f} -> {server.rss_mib():.1f} MiB")
        assert sorted(took)[45] < 0.25 * PATIENCE
    wait_for(lambda: server.metric("coldfleet_api_connections") < 10, 20, "the slow ones to be gone")
    with server.connect() as s:
        s.sendall(GET)
        assert read_answer(s)[0] == 200
