# SPDX-License-Identifier: Apache-2.0
"""A coldfleet-api on a TCP port of its own with the settings of the test, on the stack's database: in clear text, or in
TLS with certificates made for the test."""

import contextlib
import re
import signal
import socket
import ssl
import subprocess
from pathlib import Path

from stack import BIN, PATIENCE, wait_for

GET = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def openssl(*words):
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


def certificate(folder, name, subject="/CN=localhost", ca=None):
    """NAME.crt and NAME.key, signed by themselves or by the CA of that name."""
    folder = Path(folder)
    signer = ["-CA", folder / f"{ca}.crt", "-CAkey", folder / f"{ca}.key"] if ca else []
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", subject,
            "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", folder / f"{name}.key",
            "-out", folder / f"{name}.crt", *signer)
    return folder / f"{name}.crt", folder / f"{name}.key"


def read_all(s):
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := s.recv(65536):
            data += piece
    return data


def read_answer(s):
    """One answer: status, fields, body."""
    file = s.makefile("rb")
    status = int(file.readline().split()[1])
    fields = {}
    while (line := file.readline()) not in (b"\r\n", b""):
        name, value = line.decode().split(":", 1)
        fields[name.lower()] = value.strip()
    return status, fields, file.read(int(fields["content-length"]))


class ApiProcess:
    def __init__(self, stack, folder, port=None, trust=None, context=None, monitor_port=None, passed=None, **settings):
        """`passed`: a listening socket that the process gets the way systemd hands one over."""
        self.port = passed.getsockname()[1] if passed else port or free_port()
        self.token = stack.env["COLDFLEET_TOKEN_VIEWER"]
        self.context = context or (ssl.create_default_context(cafile=str(trust)) if trust else None)
        self.monitor = ("127.0.0.1", monitor_port) if monitor_port else str(folder / "monitor.sock")
        where = f"127.0.0.1:{monitor_port}" if monitor_port else f"unix:{self.monitor}"
        values = {"listen": "systemd" if passed else f"127.0.0.1:{self.port}", "monitor": where, **settings}
        words = [w for key, value in values.items() for w in ("--set", f"api.{key}={value}")]
        self.log_path = folder / "api.log"
        with open(self.log_path, "w", encoding="utf-8") as log:
            command = [BIN / "coldfleet-api", "--config", stack.dir / "coldfleet.ini", *words]
            if passed:
                command = ["bash", "-c", f'exec 3<&{passed.fileno()}; LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"', "bash", *command]
            self.process = subprocess.Popen(command, stderr=log, pass_fds=[passed.fileno()] if passed else ())
        wait_for(lambda: self.process.poll() is not None or b"ready\n" in self.ask_monitor("/readyz"), 20,
                 "coldfleet-api to be ready")

    def log(self):
        return self.log_path.read_text(errors="replace")

    def raw(self):
        return socket.create_connection(("127.0.0.1", self.port), 20 * PATIENCE)

    def connect(self, context=None):
        s = self.raw()
        context = context or self.context
        return context.wrap_socket(s, server_hostname="localhost") if context else s

    def get(self, path, *fields, method="GET", body=b"", token=True):
        """One request on a connection of its own: status, fields, body."""
        lines = [f"{method} {path} HTTP/1.1", "Host: a", *fields]
        if token:
            lines.append(f"Authorization: Bearer {self.token if token is True else token}")
        if body:
            lines.append(f"Content-Length: {len(body)}")
        with self.connect() as s:
            s.sendall("\r\n".join([*lines, "", ""]).encode() + body)
            return read_answer(s)

    def ask_monitor(self, path):
        with socket.socket(socket.AF_UNIX if isinstance(self.monitor, str) else socket.AF_INET) as s:
            s.connect(self.monitor)
            s.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
            return read_all(s)

    def metric(self, name):
        found = re.search(rf"^{re.escape(name)} (\S+)$", self.ask_monitor("/metrics").decode(), re.MULTILINE)
        return float(found[1]) if found else None

    def rss_mib(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024

    def signal(self, which):
        self.process.send_signal(which)

    def stop(self):
        self.signal(signal.SIGTERM)
        return self.process.wait(25 * PATIENCE)


@contextlib.contextmanager
def api_processes(stack, tmp_path):
    """A function that makes them; all are ended, orderly, when the block ends."""
    made = []

    def make(**settings):
        folder = tmp_path / f"api-{len(made)}"
        folder.mkdir()
        made.append(ApiProcess(stack, folder, **settings))
        return made[-1]

    try:
        yield make
    finally:
        for one in made:
            status = one.stop() if one.process.poll() is None else 0
            print(one.log()[-3000:])
            assert status == 0 and "Sanitizer" not in one.log()
