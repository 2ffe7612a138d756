#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The questions of docs/analyst.md: each statement there, run as an analyst over fixtures/analyst.sql, gives the answer that stands
below it. Usage: analyst.py DBURI [--show]; the database is a deployed one without shipments, and stays as it is."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def main():
    uri, show = sys.argv[1], "--show" in sys.argv
    text = (ROOT / "docs" / "analyst.md").read_text()
    questions = re.findall(r"^### (\d+)\. ([^\n]*)\n.*?^```sql\n(.*?)^```\n(?:\n```text\n(.*?)^```)?", text, re.S | re.M)
    fixture = (ROOT / "tests" / "sql" / "fixtures" / "analyst.sql").read_text()
    script = ["set timezone = 'UTC';", "begin;", "\\o /dev/null", fixture, "\\o", "set local role coldfleet_analyst;"]
    for number, _, sql, _ in questions:
        script += [f"\\echo === {number}", sql]
    script.append("rollback;")
    run = subprocess.run(["psql", "-X", "-q", "-A", "-v", "ON_ERROR_STOP=1", "-P", "footer=off", "-d", uri], input="\n".join(script),
                         capture_output=True, text=True)
    answers = dict(re.findall(r"^=== (\d+)\n(.*?)(?=^=== |\Z)", run.stdout, re.S | re.M))
    failed = run.returncode != 0
    if failed:
        print("# " + run.stderr.replace("\n", "\n# "))
    if [int(n) for n, *_ in questions] != list(range(1, 21)):
        print(f"# expected questions 1 to 20, got {[n for n, *_ in questions]}")
        failed = True
    for number, title, _, expected in questions:
        good = answers.get(number) == expected
        print(f"{'ok' if good else 'not ok'} - analyst's question {number}: {title}")
        if show or not good:
            print(answers.get(number))
        failed = failed or not good
    sys.exit(failed)


main()
