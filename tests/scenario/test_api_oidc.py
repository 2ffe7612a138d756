# SPDX-License-Identifier: Apache-2.0
"""People who sign in at an identity provider: their access tokens open calls with the role and the scope that the
configuration says, and no other token does. The provider is a file of keys, or a small HTTPS server that can fail."""

import base64
import http.server
import json
import ssl
import subprocess
import threading
import time

import pytest

from api_process import api_processes, certificate, openssl
from stack import wait_for

ISSUER = "https://id.example"


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Provider:
    """Keys in a folder, their JWK set, and tokens."""

    def __init__(self, folder, kid="k1"):
        self.kid, self.key = kid, folder / f"{kid}.pem"
        openssl("genrsa", "-out", self.key, "2048")
        shown = subprocess.run(["openssl", "rsa", "-in", self.key, "-noout", "-modulus"], check=True, capture_output=True, text=True)
        modulus = bytes.fromhex(shown.stdout.strip().split("=")[1])
        self.jwk = {"kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256", "n": b64(modulus), "e": "AQAB"}

    def token(self, header=None, **claims):
        head = {"alg": "RS256", "typ": "at+jwt", "kid": self.kid, **(header or {})}
        body = {"iss": ISSUER, "aud": "coldfleet", "sub": "ada", "exp": int(time.time()) + 300, "roles": ["fleet-viewers"], **claims}
        text = f"{b64(json.dumps(head).encode())}.{b64(json.dumps(body).encode())}"
        signed = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.key], input=text.encode(), check=True, capture_output=True)
        return f"{text}.{b64(signed.stdout)}"


SETTINGS = {"oidc_issuer": ISSUER, "oidc_audience": "coldfleet", "oidc_roles": "fleet-admins=admin,fleet-viewers=viewer"}


@pytest.fixture
def api(stack, tmp_path):
    with api_processes(stack, tmp_path) as make:
        yield make


@pytest.fixture
def provider(tmp_path):
    made = Provider(tmp_path)
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [made.jwk]}))
    return made


def status(server, token, path="/v1/devices?limit=1", **request):
    return server.get(path, token=token, **request)[0]


def test_access_tokens_open_calls_with_the_role_that_they_claim(api, provider, tmp_path):
    server = api(oidc_jwks=tmp_path / "jwks.json", **SETTINGS)
    viewer, admin = provider.token(), provider.token(roles=["x", "fleet-admins"])
    assert status(server, viewer) == 200 and status(server, viewer) == 200
    assert status(server, viewer, "/v1/tokens") == 403
    assert status(server, admin, "/v1/tokens") == 200
    assert status(server, provider.token(roles=["other"])) == 403
    assert status(server, True) == 200, "tokens of our own still work"


def test_scope_is_the_groups_that_the_token_names(api, provider, stack, tmp_path):
    stack.sql("INSERT INTO fleet.device_group (name) VALUES ('carrier x')")
    stack.sql("""INSERT INTO fleet.group_member (group_id, device_id)
                 SELECT group_id, device_id FROM fleet.device_group, fleet.device WHERE name = 'carrier x' AND serial = 'spare-02'""")
    server = api(oidc_jwks=tmp_path / "jwks.json", oidc_groups_claim="carriers", **SETTINGS)
    token = provider.token(carriers=["carrier x"], roles="fleet-viewers")
    listed = json.loads(server.get("/v1/devices", token=token)[2])
    assert [item["serial"] for item in listed["items"]] == ["spare-02"]
    assert status(server, token, "/v1/devices/spare-01") == 404
    for carriers in ([], ["nobody"], None, {"carrier x": 1}, [1]):
        assert status(server, provider.token(carriers=carriers)) == 403, carriers
    assert status(server, provider.token()) == 403, "no claim, no device"


def test_token_that_does_not_hold_is_401_and_noted(api, provider, stack, tmp_path):
    server = api(oidc_jwks=tmp_path / "jwks.json", **SETTINGS)
    stranger = Provider(tmp_path, "k2")
    stranger.kid = "k1"
    good = provider.token()
    unsigned = good.rsplit(".", 1)[0]
    bad = {"issuer": provider.token(iss="https://evil.example"), "audience": provider.token(aud="other"),
           "time": provider.token(exp=int(time.time()) - 60), "type": provider.token({"typ": "JWT"}),
           "algorithm": provider.token({"alg": "none"}), "signature": stranger.token(),
           "key": provider.token({"kid": "k9"}), "malformed": unsigned + "."}
    for reason, token in bad.items():
        answered, fields, body = server.get("/v1/devices", token=token)
        assert answered == 401 and fields["www-authenticate"].startswith("Bearer"), reason
        assert json.loads(body)["type"] == "urn:coldfleet:problem:unauthorized"
    wait_for(lambda: stack.value("SELECT count(DISTINCT reason) FROM fleet.refused_login") == len(bad), 10, "all to be noted")
    assert {row[0] for row in stack.sql("SELECT reason FROM fleet.refused_login")} == set(bad)
    assert server.metric("coldfleet_api_logins_refused_total") == len(bad)
    audited = stack.rest("/v1/audit?kind=login&action=refused", "AUDITOR").json["items"]
    assert audited and audited[-1]["new"]["reason"] in bad
    assert status(server, good) == 200


def test_strangers_cannot_fill_the_record_of_refused_logins(api, provider, stack, tmp_path):
    server = api(oidc_jwks=tmp_path / "jwks.json", **SETTINGS)
    before = stack.value("SELECT count(*) FROM fleet.refused_login")
    for n in range(100):
        assert status(server, f"{n}.b.c") == 401
    assert stack.value("SELECT count(*) FROM fleet.refused_login") - before < 60
    assert server.metric("coldfleet_api_logins_refused_total") == 100


class KeyServer:
    """Serves self.keys over HTTPS; self.keys None: 500."""

    def __init__(self, cert, key):
        self.keys, self.asked = None, 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked += 1
                body = json.dumps({"keys": outer.keys}).encode()
                self.send_response(200 if outer.keys is not None else 500)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *words):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://localhost:{self.server.server_address[1]}/jwks"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def test_keys_over_https_are_rotated_and_kept_while_the_provider_fails(api, provider, tmp_path):
    cert, key = certificate(tmp_path, "id")
    keys = KeyServer(cert, key)
    try:
        keys.keys = [provider.jwk]
        server = api(oidc_jwks=keys.url, oidc_ca=cert, oidc_refresh="1s", **SETTINGS)
        wait_for(lambda: status(server, provider.token()) == 200, 10, "the keys to be there")
        keys.keys = None
        wait_for(lambda: "the keys from before stay in force" in server.log(), 10, "a fetch to fail")
        assert status(server, provider.token()) == 200
        second = Provider(tmp_path, "k2")
        token = second.token()
        assert status(server, token) in (401, 503)
        old = provider.token()
        assert status(server, old) == 200
        keys.keys = [second.jwk]
        wait_for(lambda: status(server, token) == 200, 20, "the new key")
        assert status(server, old) == 401, "what a withdrawn key has proved ends with it"
    finally:
        keys.server.shutdown()
        keys.server.server_close()


def test_provider_whose_certificate_is_not_trusted_is_not_believed(api, provider, tmp_path):
    cert, key = certificate(tmp_path, "id")
    other, _ = certificate(tmp_path, "other")
    keys = KeyServer(cert, key)
    try:
        keys.keys = [provider.jwk]
        server = api(oidc_jwks=keys.url, oidc_ca=other, **SETTINGS)
        wait_for(lambda: "there are no keys yet" in server.log(), 10, "the fetch to fail")
        assert status(server, provider.token()) in (401, 503)
        assert keys.asked == 0
    finally:
        keys.server.shutdown()
        keys.server.server_close()
