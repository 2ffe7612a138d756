# SPDX-License-Identifier: Apache-2.0
"""A running coldfleet for a test: started by ops/demo, the same way a person starts it, in a folder of its own.

Processes are the real ones. A test asks the database, calls REST, reads metrics, and stops, kills or freezes single
parts by name; it waits for what it expects with wait_for(), never for a time to pass."""

import http.client
import json
import os
import re
import shlex
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "ops" / "demo"
PRESET = os.environ.get("COLDFLEET_PRESET", "release")
BIN = ROOT / "build" / PRESET / "bin"
# Everything takes longer under sanitizers or valgrind, and on a machine that does other things too.
PATIENCE = int(os.environ.get("COLDFLEET_PATIENCE", "1"))
# Between choosing a port and listening on it another process could take it: those that run side by side choose elsewhere.
SIDE = 2 * (PRESET == "asan") + (os.environ.get("PYTEST_XDIST_WORKER") == "gw1")
PORTS = {"COLDFLEET_PORTS_FROM": str(20000 + 3000 * SIDE), "COLDFLEET_PORTS": "3000"}


def wait_for(predicate, deadline=20.0, what=""):
    """Calls predicate until it returns something true, which is returned; fails after `deadline` seconds with `what`
    and the last value. Exceptions of a connection that is down count as not yet."""
    end = time.monotonic() + deadline * PATIENCE
    value = None
    while True:
        try:
            value = predicate()
            if value:
                return value
        except (psycopg.OperationalError, OSError, http.client.HTTPException) as e:
            value = e
        if time.monotonic() > end:
            name = what or getattr(predicate, "__name__", "the condition")
            raise AssertionError(f"waited {deadline * PATIENCE:.0f} s for {name}; last: {value!r}")
        time.sleep(0.05)


class Answer:
    """What a REST call returned."""

    def __init__(self, response):
        self.status = response.status
        self.headers = {k.lower(): v for k, v in response.getheaders()}
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.body[:200]!r}>"


class Stack:
    """Without options: no trackers, and telemetry by lanes, which most tests of ingest are about; test_ring.py has the other way."""

    def __init__(self, folder, *options):
        self.dir = Path(folder)
        try:
            self.demo("--detach", *(options or ("--trackers", "0", "--source", "lane")))
            self.env = self._read_env()
        except BaseException:
            self.down()
            raise

    # Commands

    def demo(self, *words, check=True, environ=None):
        """Runs ops/demo on this stack's folder."""
        run = subprocess.run([DEMO, "--dir", self.dir, *words], capture_output=True, text=True, timeout=300,
                             env={**os.environ, "COLDFLEET_PRESET": PRESET, **PORTS, **(environ or {})})
        if check and run.returncode != 0:
            raise AssertionError(f"ops/demo {' '.join(map(str, words))} ended with {run.returncode}:\n{run.stdout}{run.stderr}")
        return run

    def down(self):
        """Ends all of it. It goes on to its end, out of reach of signals to the tests, though who waits for it is interrupted."""
        with tempfile.TemporaryFile("w+") as said:
            end = subprocess.Popen([DEMO, "--dir", self.dir, "down"], start_new_session=True, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
                                   env={**os.environ, "COLDFLEET_PRESET": PRESET})
            if end.wait(300) != 0:
                said.seek(0)
                raise AssertionError(f"ops/demo down ended with {end.returncode}:\n{said.read()}")

    def _read_env(self):
        """The variables of DIR/env, as a shell that sources it sees them."""
        shown = subprocess.run(["bash", "-c", f"set -a; . {shlex.quote(str(self.dir / 'env'))}; env -0"],
                               capture_output=True, check=True).stdout.decode()
        pairs = (line.split("=", 1) for line in shown.split("\0") if "=" in line)
        return {k: v for k, v in pairs if k == "PATH" or k.startswith("COLDFLEET_")}

    def tracker(self, *words, check=True, timeout=120):
        """Runs coldfleet-tracker with this stack's environment until it ends."""
        run = subprocess.run([BIN / "coldfleet-tracker", *map(str, words)], capture_output=True, text=True,
                             timeout=timeout * PATIENCE, env={**os.environ, **self.env})
        if check and run.returncode != 0:
            raise AssertionError(f"coldfleet-tracker {' '.join(map(str, words))} ended with {run.returncode}:\n{run.stderr}")
        return run

    def tracker_start(self, *words, **popen):
        """Starts coldfleet-tracker in the background; the caller ends it."""
        return subprocess.Popen([BIN / "coldfleet-tracker", *map(str, words)], text=True,
                                env={**os.environ, **self.env}, **popen)

    def enrol(self, *serials):
        self.demo("enrol", *serials)

    # Parts: postgres, broker, ingest, api, trackers

    def pid(self, part):
        return int((self.dir / "run" / f"{part}.pid").read_text().split()[0])

    def alive(self, part):
        try:
            state = Path(f"/proc/{self.pid(part)}/stat").read_text().rpartition(") ")[2][0]
        except (FileNotFoundError, ProcessLookupError):
            return False
        return state not in "ZX"

    def start(self, part, **environ):
        """Starts the part and waits until it is ready. Keywords become environment variables of ops/demo."""
        self.demo("start", part, environ=environ)

    def stop(self, part):
        """Asks the part to end and waits until it has."""
        self.demo("stop", part)

    def kill(self, part):
        """SIGKILL, and waits until the process is gone."""
        os.kill(self.pid(part), signal.SIGKILL)
        wait_for(lambda: not self.alive(part), 10, f"{part} to be gone")

    def restart(self, part):
        self.stop(part)
        self.start(part)

    def freeze(self, part):
        os.kill(self.pid(part), signal.SIGSTOP)

    def thaw(self, part):
        os.kill(self.pid(part), signal.SIGCONT)

    def log(self, part):
        """What the part has written; the broker's own log is 'mosquitto'."""
        return (self.dir / "log" / f"{part}.log").read_text(errors="replace")

    # Database

    def connect(self, role="OWNER", **options):
        """A new connection: OWNER (superuser), ANALYST or INGEST."""
        return psycopg.connect(self.env[f"COLDFLEET_DB_{role}"], autocommit=True, **options)

    def sql(self, query, params=None, role="OWNER"):
        """Runs one statement on a connection of its own; its rows, or None when it returns none."""
        with self.connect(role) as connection:
            cursor = connection.execute(query, params)
            return cursor.fetchall() if cursor.description else None

    def value(self, query, params=None):
        """The single value that a query returns."""
        return self.sql(query, params)[0][0]

    # REST and metrics

    def rest(self, path, token="VIEWER", method="GET", body=None, headers=None):
        """One call. `token` is a role's name, a whole token that starts with cf_, or None."""
        at = urlsplit(self.env["COLDFLEET_API"])
        sent = dict(headers or {})
        if token:
            secret = token if token.startswith("cf_") else self.env[f"COLDFLEET_TOKEN_{token.upper()}"]
            sent["Authorization"] = f"Bearer {secret}"
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
            sent.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection(at.hostname, at.port, timeout=20 * PATIENCE)
        try:
            connection.request(method, path, body, sent)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def metrics(self, part="ingest"):
        """{'name{labels}': value} of a daemon."""
        at = urlsplit(self.env[f"COLDFLEET_METRICS_{part.upper()}"])
        connection = http.client.HTTPConnection(at.hostname, at.port, timeout=10 * PATIENCE)
        try:
            connection.request("GET", at.path)
            text = connection.getresponse().read().decode()
        finally:
            connection.close()
        rows = re.findall(r"^([a-zA-Z_:][^\s{]*(?:\{.*\})?) (\S+)$", text, re.MULTILINE)
        return {name: float(value) for name, value in rows}
