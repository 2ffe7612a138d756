# SPDX-License-Identifier: Apache-2.0
"""Waits until every tracker of the demo has a reading that comes back through REST, and shows how far it is."""

import argparse
import http.client
import json
import os
import sys
import time
from urllib.parse import urlsplit


def has_reading(connection, serial, token):
    connection.request("GET", f"/v1/devices/{serial}/readings?limit=1", headers={"Authorization": f"Bearer {token}"})
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        sys.exit(f"REST answered {answer.status} for {serial}: {body.decode(errors='replace')}")
    return any(isinstance(value, list) and value for value in json.loads(body).values())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--timeout", type=float, required=True)
    parser.add_argument("serials", nargs="+")
    given = parser.parse_args()
    at = urlsplit(os.environ["COLDFLEET_API"])
    connection = http.client.HTTPConnection(at.hostname, at.port, timeout=20)
    end = time.monotonic() + given.timeout
    waiting, shown = given.serials, None
    while waiting:
        waiting = [s for s in waiting if not has_reading(connection, s, os.environ["COLDFLEET_TOKEN_VIEWER"])]
        done = len(given.serials) - len(waiting)
        if done != shown:
            print(f"Readings through REST: {done} of {len(given.serials)} trackers", flush=True)
            shown = done
        if waiting and time.monotonic() > end:
            sys.exit(f"no reading of {', '.join(waiting[:5])} after {given.timeout:.0f} s; see the log of the trackers")
        time.sleep(0.3 if waiting else 0)


main()
