# SPDX-License-Identifier: Apache-2.0
"""Writes the table of operations of docs/api.md from the API's contract:

    curl -s $COLDFLEET_API/openapi.json | /usr/bin/python3 ops/lib/render_api.py docs/api.md

With --check nothing is written, and a difference ends with status 1."""

import argparse
import json
import sys
from pathlib import Path

BEGIN = "<!-- operations: rendered by ops/lib/render_api.py -->"
END = "<!-- end of operations -->"


def table(document):
    def name(parameter):
        return parameter.get("name") or parameter["$ref"].rsplit("/", 1)[1]

    rows = ["| call | role | what | answers |", "|---|---|---|---|"]
    for path, methods in document["paths"].items():
        for method, o in methods.items():
            query = "&".join(f"{name(p)}=" for p in o.get("parameters", ()) if p.get("in") == "query")
            call = f"{method.upper()} {path}" + (f"?{query}" if query else "")
            role = {None: "no token", "viewer": "any"}.get(o.get("x-role"), o.get("x-role"))
            rows.append(f"| `{call}` | {role} | {o['summary']} | {' '.join(sorted(o['responses']))} |")
    return "\n".join(rows)


def main():
    parser = argparse.ArgumentParser(description="Renders the table of operations from openapi.json.")
    parser.add_argument("--check", action="store_true", help="only say whether it is up to date")
    parser.add_argument("page", type=Path)
    parser.add_argument("document", nargs="?", type=argparse.FileType(), default=sys.stdin)
    given = parser.parse_args()
    text = given.page.read_text()
    before, found, rest = text.partition(BEGIN)
    _, found_end, after = rest.partition(END)
    if not found or not found_end:
        sys.exit(f"{given.page}: expected the lines '{BEGIN}' and '{END}'")
    new = f"{before}{BEGIN}\n\n{table(json.load(given.document))}\n\n{END}{after}"
    if new == text:
        return
    if given.check:
        sys.exit(f"{given.page}: the table of operations is not that of the contract; render it: curl -s $COLDFLEET_API/openapi.json"
                 f" | /usr/bin/python3 ops/lib/render_api.py {given.page}")
    given.page.write_text(new)


main()
