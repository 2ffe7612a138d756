# SPDX-License-Identifier: Apache-2.0
"""coldfleet-ingest under valgrind's memcheck: ten thousand messages, good and bad, with a database that goes away in
between, leave no leak and no invalid access. The sanitizer build finds other things, but no use of uninitialised memory."""

import json
import re

import pytest

from device import Device, now
from stack import wait_for

MESSAGES = 10_000
SERIALS = [f"spare-0{n}" for n in range(1, 6)]


def bad_messages():
    yield from (b"", b"hello", b"[]", b"[{}]", b"\x9f\xff", bytes(range(256)), b"[" * 5000, b'[{"n":"temp","v":1e999}]',
                b'[{"n":"temp","v":4,"x_":1}]', b'[{"bt":1,"n":"temp","v":4,"t":2e12}]', b'[{"n":"seq","v":-1}]')


def readings(stack):
    return stack.value("select count(*) from telemetry.reading")


@pytest.mark.release_only
def test_ten_thousand_messages_leave_no_leak_and_no_invalid_access(own_stack):
    stack = own_stack
    report = stack.dir / "log" / "valgrind.log"
    stack.stop("ingest")
    stack.start("ingest", COLDFLEET_PATIENCE="6",
                COLDFLEET_WRAP=f"valgrind --leak-check=full --show-leak-kinds=definite,indirect,possible --log-file={report}")
    (stack.dir / "serials").write_text("\n".join(SERIALS))
    stack.tracker("load", "--serials", stack.dir / "serials", "--connections", 5, "--messages", MESSAGES, timeout=300)
    wait_for(lambda: readings(stack) >= MESSAGES, 300, "all readings")
    with Device(stack, "spare-01") as device:
        device.subscribe(device.topic("receipt"))
        for bad in bad_messages():
            device.send(bad)
        stack.stop("postgres")
        for n in range(20):
            device.send(json.dumps([{"bt": now() - n, "n": "epoch", "v": 9}, {"n": "seq", "v": 2 * n}, {"n": "temp", "v": n}]))
        stack.start("postgres")
        wait_for(lambda: readings(stack) >= MESSAGES + 20, 120, "what came while the database was away")
        wait_for(lambda: device.receipts, 60, "a receipt")
    stack.demo("stop", "ingest", environ={"COLDFLEET_PATIENCE": "6"})
    said = report.read_text()
    assert re.search(r"ERROR SUMMARY: 0 errors", said), said[-5000:]
    for kind in ("definitely", "indirectly", "possibly"):
        assert re.search(rf"{kind} lost: 0 bytes|no leaks are possible", said), said[-5000:]
