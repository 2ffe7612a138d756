# SPDX-License-Identifier: Apache-2.0
"""A tracker's MQTT connection in the hands of a test: everything it may do, and what it may not."""

import json
import ssl
import threading
import time

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from stack import PATIENCE, wait_for


class Device:
    """Connects over mutual TLS as `serial`. `certificate` and `client_id` are for those that lie about who they are."""

    def __init__(self, stack, serial, client_id=None, certificate=None, protocol=mqtt.MQTTv5):
        self.serial = serial
        self.received = []
        self.lost = threading.Event()
        self._answered = threading.Event()
        self._granted = {}
        self._v5 = protocol == mqtt.MQTTv5
        self.client = mqtt.Client(client_id or serial, protocol=protocol, **({} if self._v5 else {"clean_session": True}))
        folder = stack.env["COLDFLEET_CERTS"]
        if certificate is not False:
            name = certificate or serial
            self.client.tls_set(stack.env["COLDFLEET_CA"], f"{folder}/{name}.crt", f"{folder}/{name}.key")
        else:
            self.client.tls_set(stack.env["COLDFLEET_CA"], cert_reqs=ssl.CERT_REQUIRED)
        self.client.on_connect = lambda *a: self._connected(a[3])
        self.client.on_message = lambda c, u, message: self.received.append((message.topic, message.payload))
        self.client.on_subscribe = lambda *a: self._granted.__setitem__(a[2], a[3])
        self.client.on_disconnect = lambda *a: self.lost.set()
        self.client.connect(stack.env["COLDFLEET_MQTT_HOST"], int(stack.env["COLDFLEET_MQTT_PORT"]))
        self.client.loop_start()
        if not self._answered.wait(10 * PATIENCE):
            self.close()
            raise ConnectionError(f"{serial}: no answer to CONNECT")

    def _connected(self, code):
        self.code = getattr(code, "value", code)
        self._answered.set()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()

    def topic(self, leaf):
        return f"cf/v1/{self.serial}/{leaf}"

    def subscribe(self, filter_, qos=1):
        _, mid = self.client.subscribe(filter_, qos)
        return wait_for(lambda: self._granted.get(mid), 10, f"SUBACK for {filter_}")

    def publish(self, topic, payload, content_type=None, response_topic=None):
        """QoS 1; returns when the broker has acknowledged it."""
        properties = Properties(PacketTypes.PUBLISH) if self._v5 else None
        if content_type:
            properties.ContentType = content_type
        if response_topic:
            properties.ResponseTopic = response_topic
        info = self.client.publish(topic, payload, 1, properties=properties)
        info.wait_for_publish(10 * PATIENCE)
        assert info.is_published(), f"no PUBACK for {topic}"

    def send(self, pack, **options):
        """One telemetry message: records, or the payload as it is."""
        payload = pack if isinstance(pack, (bytes, str)) else json.dumps(pack)
        self.publish(self.topic("telemetry"), payload, **options)

    def send_for_receipt(self, pack, deadline=10, **options):
        """Sends and returns the next receipt. Subscribe to the receipt topic first."""
        seen = len(self.receipts)
        self.send(pack, response_topic=self.topic("receipt"), **options)
        return wait_for(lambda: self.receipts[seen:], deadline, f"a receipt for {self.serial}")[-1]

    @property
    def receipts(self):
        return [json.loads(payload) for topic, payload in self.received if topic == self.topic("receipt")]


def now():
    """Seconds since 1970, for `bt`."""
    return int(time.time())
