# SPDX-License-Identifier: Apache-2.0
"""The API's contract, /openapi.json, as something that answers are held against: an answer must have a documented
status, the media type and headers that belong to it, and a body that its schema takes."""

import http.client
import json
import re
import subprocess
import time
from urllib.parse import quote, urlencode

from jsonschema import Draft202012Validator

from api_process import free_port
from stack import BIN, PATIENCE

PROBLEM = "application/problem+json"
EVENTS = "text/event-stream"


class Undocumented(AssertionError):
    pass


class Operation:
    def __init__(self, contract, path, method, said):
        self.contract, self.path, self.method, self.said = contract, path, method.upper(), said
        self.id = said["operationId"]
        self.role = said.get("x-role")
        self.responses = {int(status): contract.resolved(answer) for status, answer in said["responses"].items()}
        self.params = [contract.resolved(p) for p in said.get("parameters", [])]
        self.bodies = contract.resolved(said.get("requestBody", {}).get("content", {}))
        as_json = self.bodies.get("application/json", {})
        self.body_schema, self.body_example = as_json.get("schema"), as_json.get("example")

    def body(self, value=None):
        """A media type and a body as bytes, of the value or of the example; None, None: it takes none."""
        if not self.bodies:
            return None, None
        media, said = next(iter(self.bodies.items()))
        value = said.get("example") if value is None else value
        assert value is not None, f"api/answers has no example of a body for {self.id}"
        return media, value.encode() if isinstance(value, str) else json.dumps(value).encode()

    def param(self, where, name=None):
        return [p for p in self.params if p["in"] == where and name in (None, p["name"])]

    def target(self, values, query=()):
        """The path with {name} replaced, and a query of pairs."""
        path = re.sub(r"\{(\w+)\}", lambda m: quote(str(values[m[1]]), safe=""), self.path)
        return path + ("?" + urlencode(list(query)) if query else "")

    def __repr__(self):
        return f"{self.method} {self.path}"


class Contract:
    def __init__(self, document):
        self.document = document
        self.operations = [Operation(self, path, method, said) for path, methods in document["paths"].items()
                           for method, said in methods.items()]
        self.by_id = {o.id: o for o in self.operations}
        self.anywhere = {int(status): self.resolved(answer) for status, answer in document["x-any-request"].items()}
        self.validators = {}

    def resolved(self, value):
        """Without references; the document has none that leads back to itself."""
        if isinstance(value, list):
            return [self.resolved(v) for v in value]
        if not isinstance(value, dict):
            return value
        if "$ref" in value:
            at = self.document
            for step in value["$ref"].removeprefix("#/").split("/"):
                at = at[step]
            return {**self.resolved(at), **{k: v for k, v in value.items() if k != "$ref"}}
        return {k: self.resolved(v) for k, v in value.items()}

    def check(self, operation, status, headers, body, method=None):
        """Raises Undocumented unless the answer is one of the operation's, or for None of those that any request may
        get. Headers by lower-case name."""
        documented = operation.responses if operation else self.anywhere
        if status not in documented:
            raise Undocumented(f"status {status} is not documented")
        said = documented[status]
        for name in said.get("headers", ()):
            if name.lower() not in headers:
                raise Undocumented(f"{status} without {name}")
        media = headers.get("content-type")
        if "content" not in said:
            if body or status not in (204, 304):
                raise Undocumented(f"{status} has no documented content, got {media} {body[:80]!r}")
            return
        if media not in said["content"]:
            raise Undocumented(f"{status} as {media}, documented are {list(said['content'])}")
        if method == "HEAD":
            return
        if not re.fullmatch(r"application/(problem\+)?json", media):
            body.decode()  # a stream of text
            return
        self.check_body(id(said), said["content"][media], body)
        if media == PROBLEM and json.loads(body)["instance"] != f"urn:coldfleet:request:{headers['x-request-id']}":
            raise Undocumented("instance does not name the request")

    def check_body(self, key, said, body):
        if (key, id(said)) not in self.validators:
            self.validators[key, id(said)] = Draft202012Validator(said["schema"])
        try:
            value = json.loads(body)
        except ValueError as e:
            raise Undocumented(f"not JSON: {e}") from None
        error = next(self.validators[key, id(said)].iter_errors(value), None)
        if error:
            raise Undocumented(f"{'.'.join(map(str, error.absolute_path)) or 'body'}: {error.message[:300]}")


class Client:
    """One connection that stays; what it gets is held against the contract."""

    def __init__(self, contract, port):
        self.contract = contract
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30 * PATIENCE)

    def send(self, method, target, headers=(), body=None):
        """Status, headers by lower-case name, body."""
        for again in (True, False):
            try:
                self.connection.putrequest(method, target, skip_accept_encoding=True)
                for name, value in dict(headers).items():
                    self.connection.putheader(name, value)
                if body is not None:
                    self.connection.putheader("Content-Length", str(len(body)))
                self.connection.endheaders(body)
                answer = self.connection.getresponse()
                headers = {k.lower(): v for k, v in answer.getheaders()}
                return answer.status, headers, self.beginning(answer) if headers.get("content-type") == EVENTS else answer.read()
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                self.connection.close()  # an answer may have ended the connection while this was on its way
                if not again:
                    raise

    def beginning(self, answer):
        """Of an answer without an end; the connection ends with it."""
        read = answer.readline()
        self.connection.close()
        return read

    def close(self):
        self.connection.close()


class Bare:
    """A coldfleet-api of the stack with settings that keep it from getting ready, or that do not matter for that."""

    def __init__(self, stack, folder, **settings):
        self.port = free_port()
        values = {"listen": f"127.0.0.1:{self.port}", "monitor": "", **settings}
        words = [w for key, value in values.items() for w in ("--set", f"api.{key}={value}")]
        with open(folder / f"api-{self.port}.log", "w", encoding="utf-8") as log:
            self.process = subprocess.Popen([BIN / "coldfleet-api", "--config", stack.dir / "coldfleet.ini", *words], stderr=log)

    def __enter__(self):
        end = time.monotonic() + 20 * PATIENCE
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            try:
                connection.request("GET", "/healthz")
                connection.getresponse().read()
                return self
            except OSError:
                assert self.process.poll() is None and time.monotonic() < end, "coldfleet-api does not serve"
            finally:
                connection.close()

    def __exit__(self, *_):
        self.process.terminate()
        assert self.process.wait(20 * PATIENCE) == 0
