# SPDX-License-Identifier: Apache-2.0
"""Requests generated from the API's contract with a fixed seed, most of them wrong in one way or several: values of
another type, out of bounds, of strange characters, huge, missing, repeated, bodies and methods that do not belong. No
answer may be a failure of ours, or one that the contract does not know. COLDFLEET_ATTACKS says how many (20,000, with
sanitizers 5,000; a failure names the number of its request, which the seed makes again)."""

import json
import os
import random
import threading
import time
from urllib.parse import quote

import pytest

from api_contract import Client, Contract, Undocumented
from api_process import api_processes
from stack import PATIENCE, PRESET

ATTACKS = int(os.environ.get("COLDFLEET_ATTACKS", "20000" if PRESET == "release" else "5000"))
SEED = 20261122
THREADS = 4
FAILURES_MAX = 15

STRANGE = ["", " ", "\t", "é", "☃", "日本", "😀", "\U0010ffff", "\ud7ff", "\ue000", "\u202e", "\u0085", "a\u0301", "'", "\"", "\\",
           "%", "%s%n", "$1", "--", ";", "{}", "[]", "null", "true", "NaN", "Infinity", "-0", "0x10", "1e3", "1.0", "+1", "01",
           "9223372036854775807", "9223372036854775808", "-9223372036854775809", "1" * 30, "*", "?", "../..", "a/b", "a,b", ",",
           "a,,b", "infinity", "-infinity", "now", "epoch", "a b", "{1,2}", "\x7f", "\n", "<script>", "0,0,0,0", "1,2,3"]
TIMES = ["2026-11-22T08:00:00Z", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59-15:59",
         "1970-01-01T00:00:00+23:59", "2026-11-22T08:00:00-23:59", "2026-11-22T08:00:00+16:00", "2024-02-29T00:00:00Z",
         "2023-02-29T00:00:00Z", "2026-11-22", "2026-11-22T24:00:00Z", "2026-11-22T23:59:60Z", "0000-01-01T00:00:00Z",
         "2026-11-22t08:00:00z", "2026-11-22T08:00:00", "10000-01-01T00:00:00Z"]
DURATIONS = ["90s", "30m", "12h", "7d", "999999d", "0s", "1w"]
FILTERS = ["state", "model", "firmware", "tag", "group", "q", "silent_for", "battery_below", "bbox", "in_excursion", "incomplete", "no_such", ""]
JSON_VALUES = [None, True, False, 0, -1, 1, 2**31, 2**63 - 1, 1e308, -0.5, "", "x", "\U0010ffff", [], {}, [[]], [None], {"": 0}, [1] * 100]
RAW_BODIES = [b"", b"{", b"[]", b"null", b"1", b"\"x\"", b"{}{}", b"{} x", b"{\"a\":1,\"a\":2}", b"\xff\xfe{}", b"\xef\xbb\xbf{}",
              b"{\"reason\":\"\\u0000\"}", b"{\"reason\":\"\\ud800\"}", b"{\"reason\":\"\xff\"}", b"{\"reason\":1e999}",
              b"{\"a\":" * 50 + b"1" + b"}" * 50, b"[" * 9000, b"{\"reason\":\"" + b"x" * 200_000 + b"\"}",
              b"{\"reason\":99999999999999999999999}", b"{'reason':1}", b"\x00", b"serial=x"]
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "FOO", "get"]


class Generator:
    """Makes one request from its number; the same one each time."""

    def __init__(self, contract, tokens, serials, number):
        self.contract, self.tokens, self.serials = contract, tokens, serials
        self.random = random.Random(SEED * 1_000_003 + number)

    def chance(self, p):
        return self.random.random() < p

    def text(self, least, most):
        """Of that many characters, or nearly."""
        length = min(self.random.choice([least, most, least - 1, most + 1, least + 1, self.random.randint(least, max(most, least))]), 3000)
        alphabet = self.random.choice(["x", "aZ0._-", "0123456789", "é☃😀", "a \t\"\\'%,", "\U0010ffff\ud7ff"])
        return "".join(self.random.choice(alphabet) for _ in range(max(length, 0)))

    def digits(self, pattern):
        least, most = (int(n) for n in pattern.split("{")[1].split("}")[0].split(","))
        return "".join(self.random.choice("0123456789") for _ in range(self.random.choice([least, most, most, most + 1])))

    def string(self, schema):
        if "enum" in schema:
            return self.random.choice([str(w) for w in schema["enum"]])
        if schema.get("format", "").startswith("date"):
            return self.random.choice(TIMES)
        if "0-9]{" in schema.get("pattern", "") and "A-Z" not in schema["pattern"] and "-" not in schema["pattern"][5:]:
            return self.digits(schema["pattern"])
        if "pattern" in schema and "minLength" not in schema:
            return self.random.choice([*self.serials, "nobody", "x" * 64, "MDFmZTVlMzhj", "A" * 256])
        return self.random.choice([self.text(schema.get("minLength", 0), schema.get("maxLength", 20)), *DURATIONS, *self.serials])

    def value(self, schema, spoil):
        """Of the schema; or, each part with the chance `spoil`, something else."""
        if self.chance(spoil):
            return self.random.choice([*JSON_VALUES, *STRANGE, *TIMES])
        kinds = schema.get("type", "string")
        kind = self.random.choice(kinds) if isinstance(kinds, list) else kinds
        if kind == "object" and "properties" not in schema:
            return {self.random.choice(FILTERS): self.random.choice([*STRANGE, *DURATIONS, *JSON_VALUES, "active", "north"])
                    for _ in range(self.random.choice([0, 1, 1, 2, 3]))}
        if kind == "object":
            made = {name: self.value(s, spoil) for name, s in schema.get("properties", {}).items()
                    if (name in schema.get("required", ()) and not self.chance(spoil)) or self.chance(0.4)}
            return {**made, "no_such_field": 1} if self.chance(spoil / 2) else made
        if kind == "array":
            return [self.value(schema.get("items", {}), spoil) for _ in range(self.random.choice([0, 1, 2, 3, schema.get("maxItems", 3) + 1]))]
        if kind in ("integer", "number"):
            low, high = schema.get("minimum", -10), schema.get("maximum", 10)
            near = [low, high, low + 1, high - 1, self.random.randint(int(low), int(min(high, low + 50)))]
            return self.random.choice(near + ([low - 1, high + 1, 0.5] if self.chance(spoil) else []))
        return {"boolean": self.chance(0.5), "null": None}.get(kind) if kind in ("boolean", "null") else self.string(schema)

    def escaped(self, value):
        if self.chance(0.02):
            return self.random.choice(["%00", "%ff", "%zz", "%", "%e2%98", "%c0%80", "%2F", "%2e%2e", "+", "&&", "=", "%0d%0a", "a" * 600])
        return quote(str(value).encode("utf-8", "surrogatepass"), safe="")

    def target(self, operation, spoil):
        target = operation.path
        for p in operation.param("path"):
            value = self.random.choice(STRANGE) if self.chance(spoil) else self.value(p["schema"], 0.1)
            target = target.replace("{" + p["name"] + "}", self.escaped(value))
        pairs = []
        for p in operation.param("query"):
            while self.chance(0.35 if not pairs or pairs[-1][0] != p["name"] else 0.04):
                value = self.random.choice(STRANGE) if self.chance(spoil) else self.value(p["schema"], 0.1)
                pairs.append((p["name"], self.escaped(value)))
        if self.chance(0.03):
            pairs.append((self.random.choice(["no_such", "", "limit[]", "limit", "LIMIT", "%6cimit"]), "1"))
        self.random.shuffle(pairs)
        query = "&".join(f"{name}={value}" for name, value in pairs)
        return target + ("?" + query if query or self.chance(0.01) else "")

    def fields(self, operation, spoil):
        fields = {"Accept": self.random.choice(["*/*", "application/json", "text/csv", "application/x-ndjson", "image/png", "text/csv;q=0"])}
        role = self.random.choice(list(self.tokens))
        if not self.chance(0.05):
            wrong = ["", "Bearer", "Bearer x y", "Basic eDp5", "Bearer " + "x" * 5000, "Bearer cf_" + "A" * 43]
            fields["Authorization"] = self.random.choice(wrong) if self.chance(spoil / 4) else f"Bearer {self.tokens[role]}"
        if self.chance(0.8 if operation.param("header", "If-Match") else 0.02):
            fields["If-Match"] = self.random.choice(["*", "*", "\"1\"", "\"1\", \"2\"", "x", "\"", "W/\"1\"", "\"" + "1" * 500 + "\"", "\"é\"", "\"\\\""])
        if self.chance(0.1):
            fields["If-None-Match"] = self.random.choice(["*", "\"1\"", "x", "\"", "\"" * 300])
        if self.chance(0.3 if operation.method == "POST" else 0.02):
            fields["Idempotency-Key"] = self.random.choice([f"key-{self.random.randint(1, 50)}", "", "x" * 255, "x" * 256, "é", "a\tb"])
        if self.chance(0.05):
            fields["X-Request-Id"] = self.random.choice(["id-1", "x" * 65, "a b", "é", "\"", "../x"])
        if self.chance(0.05):
            fields["Accept-Encoding"] = self.random.choice(["identity", "br", "gzip;q=0", ";;q=x"])
        return {name: value.encode("utf-8") for name, value in fields.items()}

    def body(self, operation, spoil):
        """Its media type and bytes; None, None: none."""
        if operation.bodies and operation.body_schema is None:
            return self.rows(operation, spoil)
        if operation.body_schema is None:
            return ("application/json", self.random.choice([b"{}", b"x"])) if self.chance(0.03) else (None, None)
        raw = json.dumps(self.value(operation.body_schema, spoil), ensure_ascii=self.chance(0.5)).encode("utf-8", "surrogatepass")
        if self.chance(spoil):
            raw = self.random.choice([*RAW_BODIES, raw[:-1], raw + raw, b" \n" + raw + b"\n"])
        media = ["text/plain", "", "application/json; charset=utf-8", "application/json;;", "application/jsonx", "multipart/form-data", None]
        return (self.random.choice(media) if self.chance(spoil / 2) else self.random.choice(list(operation.bodies))), raw

    def rows(self, operation, spoil):
        """A media type and text in lines, whose values and separators may be damaged."""
        media, said = self.random.choice(list(operation.bodies.items()))
        text = said["example"]
        if self.chance(spoil):
            words = text.split('"') if self.chance(0.5) else text.split(",")
            words[self.random.randrange(len(words))] = self.random.choice(STRANGE)
            text = self.random.choice(['"', ",", "\n", "\r\n", ""]).join(words)
        raw = text.encode("utf-8", "surrogatepass")
        if self.chance(spoil):
            raw = self.random.choice([*RAW_BODIES, b"\n" * 50_000, b"a,b\n1", b"\"serial\n", b"serial,serial\nx,y\n"])
        if self.chance(spoil / 2):
            media = self.random.choice(["application/json", "", "text/csv; header=absent", "text/csvx", "application/x-ndjson;charset=latin1"])
        return media, raw

    def request(self):
        """Operation (None: none knows it), method, target, fields, body."""
        operation = self.random.choice(self.contract.operations)
        spoil = self.random.choice([0, 0, 0.05, 0.3])
        target, fields = self.target(operation, spoil), self.fields(operation, spoil)
        media, body = self.body(operation, spoil)
        if media is not None:
            fields["Content-Type"] = media.encode()
        method = operation.method
        if self.chance(0.03):
            target = self.random.choice(["/", "/v1", "/v1/", "/v1/devices/", "//v1/devices", "/v1/devices/a/b/c", "/v1/%64evices", "/v2/devices"])
            operation = None
        elif operation.method == "GET" and self.chance(0.05):
            method = "HEAD"
        elif self.chance(0.04):
            method, operation = self.random.choice(METHODS), None
        return operation, method, target, fields, body


class Attack:
    def __init__(self, contract, port, tokens, serials):
        self.contract, self.port, self.tokens, self.serials = contract, port, tokens, serials
        self.failures, self.statuses, self.sent = [], {}, 0
        self.lock = threading.Lock()

    def belongs_to(self, operation, method, target):
        """A target or method that was changed may still be some other operation's: its answers are as good."""
        if operation:
            return [operation]
        steps = target.split("?")[0].split("/")
        return [o for o in self.contract.operations if o.method == method or (o.method, method) == ("GET", "HEAD")
                if len(o.path.split("/")) == len(steps)]

    def judge(self, operation, method, target, status, headers, body):
        if status == 500:
            return "500"
        wrong = None
        for candidate in (*self.belongs_to(operation, method, target), None):
            try:
                self.contract.check(candidate, status, headers, body, method)
                return None
            except Undocumented as e:
                wrong = wrong or e
        return wrong

    def run(self, first):
        client = Client(self.contract, self.port)
        for number in range(first, ATTACKS, THREADS):
            operation, method, target, fields, body = Generator(self.contract, self.tokens, self.serials, number).request()
            try:
                status, headers, answer = client.send(method, target, fields, body)
                wrong = self.judge(operation, method, target, status, headers, answer)
            except Exception as e:  # noqa: BLE001: whatever goes wrong with a request is a finding
                status, answer, wrong = 0, b"", repr(e)
                client.close()
            with self.lock:
                self.sent += 1
                self.statuses[status] = self.statuses.get(status, 0) + 1
                if wrong:
                    self.failures.append(f"#{number} {method} {target[:300]} {(body or b'')[:300]!r}: {wrong}; got {status} {answer[:300]!r}")
                if len(self.failures) > FAILURES_MAX:
                    break
        client.close()


@pytest.fixture
def tokens(own_stack):
    """One of each role, one in the scope of a group. Their numbers are far from those that requests revoke."""
    stack = own_stack
    stack.sql("SELECT setval(pg_get_serial_sequence('fleet.token', 'token_id'), 1500000000)")
    made = {role: stack.value("SELECT fleet.create_token('attack ' || %s, %s)", [role, role])
            for role in ("viewer", "operator", "admin", "auditor")}
    made["admin again"] = made["admin"]
    return made


def test_generated_requests_get_documented_answers_and_never_500(own_stack, tokens, tmp_path):
    contract = Contract(own_stack.rest("/openapi.json", None).json)
    with api_processes(own_stack, tmp_path) as make:
        api = make(rate_per_token=0)
        attack = Attack(contract, api.port, tokens, ["spare-01", "spare-02", "spare-03", "T-1"])
        before, begin = api.rss_mib(), time.monotonic()
        threads = [threading.Thread(target=attack.run, args=(n,)) for n in range(THREADS)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        took = time.monotonic() - begin
        print(f"{attack.sent} requests in {took:.1f} s, {dict(sorted(attack.statuses.items()))}, RSS {before:.0f} -> {api.rss_mib():.0f} MiB")
        assert not attack.failures, "\n".join(attack.failures)
        assert attack.sent == ATTACKS and api.process.poll() is None
        assert {200, 201, 400, 401, 403, 404, 405, 409, 412, 415, 422, 428} <= attack.statuses.keys() or ATTACKS < 5000
        if PRESET == "release":
            assert took < 60 * PATIENCE and api.rss_mib() < 64
