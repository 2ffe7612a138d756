# SPDX-License-Identifier: Apache-2.0
"""A reader of GET /v1/stream: one connection, its events as they come."""

import json
import socket
import time
from urllib.parse import urlencode

from stack import PATIENCE


class Event:
    def __init__(self, id, type, data):
        self.id, self.type, self.data = id, type, json.loads(data)
        self.device, self.body = self.data["device"], self.data["body"]
        assert self.data["type"] == type

    def __repr__(self):
        return f"<{self.id} {self.type} {self.device} {self.body}>"


class Stream:
    """Use as a context; `last_id` is what to resume with."""

    def __init__(self, port, token, last_id=None, **query):
        self.last_id, self.comments, self.retry, self.passed = last_id, 0, 0, []
        self.raw, self.text, self.ended = b"", b"", False
        self.socket = socket.create_connection(("127.0.0.1", port), 30 * PATIENCE)
        lines = ["GET /v1/stream" + ("?" + urlencode(query) if query else "") + " HTTP/1.1", "Host: a", f"Authorization: Bearer {token}"]
        lines += [f"Last-Event-ID: {last_id}"] if last_id else []
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())
        while b"\r\n\r\n" not in self.raw and self.take(30):
            pass
        head, _, self.raw = self.raw.partition(b"\r\n\r\n")
        first, *fields = head.decode().split("\r\n")
        self.status = int(first.split()[1])
        self.fields = {name.lower(): value for name, value in (f.split(": ", 1) for f in fields)}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def take(self, seconds):
        """More bytes; False: there are no more."""
        self.socket.settimeout(max(0.001, seconds))
        try:
            piece = self.socket.recv(65536)
        except ConnectionError:
            piece = b""
        self.raw += piece
        return bool(piece)

    def dechunk(self):
        """Moves whole chunks from raw to text."""
        while b"\r\n" in self.raw:
            size, _, rest = self.raw.partition(b"\r\n")
            length = int(size, 16)
            if len(rest) < length + 2:
                return
            self.ended = length == 0
            self.text += rest[:length]
            self.raw = rest[length + 2:]

    def parsed(self):
        """The next event of the text, or None."""
        while b"\n\n" in self.text:
            block, _, self.text = self.text.partition(b"\n\n")
            fields = {}
            for line in block.decode().split("\n"):
                name, _, value = line.partition(": ")
                fields[name] = value
            self.comments += "" in fields
            self.retry = int(fields.get("retry", self.retry))
            self.last_id = fields.get("id", self.last_id)
            if "data" in fields:
                return Event(fields["id"], fields["event"], fields["data"])
        return None

    def read(self, deadline=20.0):
        """The next event; None: the stream has ended, well or broken. Signs of life are passed over."""
        end = time.monotonic() + deadline * PATIENCE
        while not (event := self.parsed()):
            if self.ended or not self.take(end - time.monotonic()):
                return None
            self.dechunk()
        return event

    def until(self, predicate, deadline=20.0):
        """Reads up to the first event that meets it, which is returned; those passed over are in self.passed."""
        end = time.monotonic() + deadline * PATIENCE
        self.passed = []
        while True:
            event = self.read((end - time.monotonic()) / PATIENCE)
            assert event, f"the stream ended; passed {self.passed[-5:]}"
            if predicate(event):
                return event
            self.passed.append(event)

    def rest(self, deadline=20.0):
        """Events up to the end of the stream."""
        events = []
        while event := self.read(deadline):
            events.append(event)
        return events
