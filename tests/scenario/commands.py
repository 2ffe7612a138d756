# SPDX-License-Identifier: Apache-2.0
"""Commands in the hands of a test: asking for them and approving them over REST, and a tracker that does with a command
what the test says, so that it can be late, deaf or wrong at a moment of the test's choice."""

import json
import threading
import uuid

import cbor2
import psycopg
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from device import Device
from stack import PATIENCE, wait_for

FINAL = ("succeeded", "failed", "rejected", "expired", "cancelled", "refused")


class Commands:
    """Asks for commands, approves them and looks what became of them; `ask` and `order` return the command's id."""

    def __init__(self, stack):
        self.stack = stack

    def call(self, path, token, body=None, status=200):
        answer = self.stack.rest(path, token, "GET" if body is None else "POST", body)
        assert answer.status == status, answer
        return answer.json

    def ask(self, serial, operation, expires_at=None, **arguments):
        body = {"operation": operation, "arguments": arguments, "reason": "a test"}
        if expires_at:
            body["expires_at"] = expires_at
        return self.call(f"/v1/devices/{serial}/commands", "operator", body, 201)["id"]

    def approve(self, command):
        request = self.request(self.get(command)["request_id"])
        self.call(f"/v1/requests/{request['id']}:approve", "approver", {"request_sha256": request["request_sha256"]})

    def order(self, serial, operation, **more):
        """Asked for, and approved where that is needed."""
        command = self.ask(serial, operation, **more)
        if self.get(command)["class"] >= 3:
            self.approve(command)
        return command

    def order_many(self, serials, operation, expires_at=None, **arguments):
        """One request for many devices, approved where that is needed; the request's id."""
        body = {"operation": operation, "arguments": arguments, "reason": "a test", "target": {"serials": list(serials)}}
        if expires_at:
            body["expires_at"] = expires_at
        request = self.call("/v1/commands", "operator", body, 201)
        if request["class"] >= 3:
            self.call(f"/v1/requests/{request['id']}:approve", "approver", {"request_sha256": request["request_sha256"]})
        return request["id"]

    def cancel(self, command, status=200):
        return self.call(f"/v1/commands/{command}:cancel", "operator", {"reason": "a test"}, status)

    def get(self, command):
        return self.call(f"/v1/commands/{command}", "viewer")

    def request(self, request):
        return self.call(f"/v1/requests/{request}", "viewer")

    def state(self, command):
        return self.stack.value("SELECT state FROM command.command WHERE command_id = %s", [command])

    def wait(self, command, *states, deadline=20):
        """Waits until the command is in one of the states, and returns it as REST shows it."""
        wait_for(lambda: self.state(command) in states, deadline, f"command {command} to be {' or '.join(states)}")
        return self.get(command)

    def path(self, command):
        """The states that it went through."""
        return [row["to"] for row in self.get(command)["history"]]

    def patience(self, ack_timeout="1 s"):
        """How long a sent command waits for its device to answer before it is sent again."""
        self.stack.sql("UPDATE command.setting SET ack_timeout = %s", [ack_timeout])


class Insistent(Commands):
    """Asks again until it is answered: an Idempotency-Key makes one request of all the tries."""

    def call(self, path, token, body=None, status=200):
        key = {"Idempotency-Key": str(uuid.uuid4())} if body is not None else {}

        def answered():
            answer = self.stack.rest(path, token, "GET" if body is None else "POST", body, key)
            return answer if answer.status < 500 and answer.status not in (409, 429) or answer.status == status else None

        answer = wait_for(answered, 180, f"an answer to {path}")
        assert answer.status == status, answer
        return answer.json


    def cancel_request(self, request):
        """Or finds that all of it has happened already."""
        key = {"Idempotency-Key": str(uuid.uuid4())}

        def answered():
            answer = self.stack.rest(f"/v1/requests/{request}:cancel", "operator", "POST", {"reason": "a test"}, key)
            return answer.status == 200 or answer.status == 409 and b"none of its commands is left" in answer.body

        wait_for(answered, 180, "an answer to a cancel")


def insist(stack, query, parameters=None):
    """Rows of a query, however often the database goes away meanwhile."""

    def rows():
        try:
            return stack.sql(query, parameters) or [()]
        except psycopg.Error:
            return None

    return wait_for(rows, 180, "the database")


def broken_histories(stack):
    """Each command's history is one chain of steps from requested to its state, with one last state in it; those that are not."""
    return stack.sql("""
        SELECT h.command_id, h.steps FROM (
            SELECT command_id, array_agg(from_state || '>' || to_state ORDER BY history_id) AS steps,
                count(*) FILTER (WHERE to_state = ANY (%(final)s)) AS ends,
                bool_and(from_state = coalesce(before, 'requested')) AS whole, (array_agg(to_state ORDER BY history_id DESC))[1] AS last
            FROM (SELECT *, lag(to_state) OVER (PARTITION BY command_id ORDER BY history_id) AS before FROM command.history) AS s
            GROUP BY command_id) AS h
        JOIN command.command AS c USING (command_id)
        WHERE NOT h.whole OR h.ends <> 1 OR h.last <> c.state LIMIT 10""", {"final": list(FINAL)})


class Received:
    """A command as it came: what is in it, and the labels that it travelled under."""

    def __init__(self, message):
        self.bytes = message.payload
        self.retain = message.retain
        properties = message.properties.json() if message.properties else {}
        self.expiry = properties.get("MessageExpiryInterval")
        self.content_type = properties.get("ContentType")
        correlation = getattr(message.properties, "CorrelationData", None)
        self.generation = int.from_bytes(correlation, "big") if correlation else None
        payload = cbor2.loads(cbor2.loads(message.payload)[2])
        self.id, self.audience, self.counter, self.operation = payload[2], payload[4], payload[6], payload[11]
        self.arguments = payload[12]

    @property
    def name(self):
        """The id as the database writes it."""
        return "-".join(self.id.hex()[a:b] for a, b in ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32)))


class CommandDevice(Device):
    """A tracker that says hello and keeps what it is told. `answers`: statuses that it replies to each command at once,
    such as ("accepted", "succeeded"); by default it is deaf until the test replies for it."""

    def __init__(self, stack, serial, answers=(), hello=True):
        self.commands = []
        self.answers = answers
        self.arrived = threading.Condition()
        super().__init__(stack, serial)
        self.client.on_message = self._on_message
        self.subscribe(self.topic("command"))
        if hello:
            self.hello()

    def hello(self):
        self.publish(self.topic("status"), json.dumps({"state": "running", "boots": 1}))

    def _on_message(self, _client, _user, message):
        received = Received(message)
        for status in self.answers:
            self.reply(received, status)
        with self.arrived:
            self.commands.append(received)
            self.arrived.notify_all()

    def reply(self, command, status, reason=None, wait=False, **fields):
        """`command` is a Received; fields replace those of the reply by number: f2=7 is another counter."""
        reply = {1: command.id, 2: command.counter, 3: status, 4: reason, 6: 1790000000, 7: 1, 8: command.generation}
        reply.update({int(name[1:]): value for name, value in fields.items()})
        self.raw_reply(cbor2.dumps({k: v for k, v in reply.items() if v is not None}, canonical=True), wait)

    def raw_reply(self, payload, wait=False):
        properties = Properties(PacketTypes.PUBLISH)
        properties.ContentType = "application/coldfleet-reply+cbor"
        sent = self.client.publish(self.topic("reply"), payload, 1, properties=properties)
        if wait:
            sent.wait_for_publish(10 * PATIENCE)

    def wait_commands(self, count, deadline=15):
        with self.arrived:
            enough = self.arrived.wait_for(lambda: len(self.commands) >= count, deadline * PATIENCE)
        assert enough, f"{self.serial}: {len(self.commands)} of {count} commands came"
        return self.commands

    @property
    def operations(self):
        return [command.operation for command in self.commands]
