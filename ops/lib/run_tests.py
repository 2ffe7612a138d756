# SPDX-License-Identifier: Apache-2.0
"""Runs the tests part by part, keeps each command's output under var/test, prints that of what failed, and counts.

A step is one command and a way to read its result; a part is a sequence of steps, or lists of steps that run together. A command that ends badly without
naming a failed test counts as one failure, so nothing that breaks early can look like success."""

import argparse
import contextlib
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "var" / "test"
FUZZ_SECONDS = 6


@dataclass
class Step:
    name: str
    command: list
    count: Callable  # (exit status, output) -> (passed, failed)
    environ: dict
    timeout: int = 1800
    again: Callable = None  # () -> a step with what failed, to be run alone, or None


def whole(status, output):
    """The command is one test."""
    return (1, 0) if status == 0 else (0, 1)


def cases(report, per_program=False):
    """A JUnit report. A program of cmocka's is counted by the tests that it names itself."""

    def count(status, output):
        passed = failed = 0
        for case in ElementTree.parse(report).iter("testcase") if report.exists() else ():
            bad = case.find("failure") is not None or case.find("error") is not None
            if case.find("skipped") is not None:
                continue
            said = case.findtext("system-out") or ""
            good_named = len(re.findall(r"^\[\s+OK \]", said, re.MULTILINE)) if per_program else 0
            bad_named = len(re.findall(r"^\[  FAILED  \] \D", said, re.MULTILINE)) if per_program else 0
            passed += good_named or int(not bad)
            failed += max(bad_named, 1) if bad else 0
        return passed, failed

    return count


def tap(status, output):
    """pg_prove --verbose."""
    return len(re.findall(r"^ok ", output, re.MULTILINE)), len(re.findall(r"^not ok ", output, re.MULTILINE))


def tracked(*patterns):
    """Files of the checkout: those git knows and those that are new, or everything where there is no git."""
    run = subprocess.run(["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard", *patterns], capture_output=True, text=True)
    if run.returncode == 0:
        return sorted(name for name in run.stdout.split("\n") if name and (ROOT / name).exists())
    found = (p.relative_to(ROOT) for pattern in patterns for p in ROOT.rglob(pattern) if p.is_file())
    return sorted(str(p) for p in found if p.parts[0] not in ("build", "var"))


def shell_scripts():
    def is_shell(name):
        with open(ROOT / name, "rb") as f:
            return f.readline().startswith((b"#!/usr/bin/env bash", b"#!/bin/bash", b"#!/bin/sh"))

    return [n for n in tracked("ops/*", ".ci/*", "tests/*.sh", "*.sh") if n.endswith(".sh") or "." not in Path(n).name and is_shell(n)]


def build(preset, *targets):
    return Step(f"build-{preset}", [ROOT / "ops/build", preset, *targets], whole, {})


def lint():
    sources = tracked("*.c", "*.h")
    yield Step("format", ["clang-format", "--dry-run", "-Werror", *sources], whole, {})
    yield Step("shellcheck", ["shellcheck", "-x", "-P", "SCRIPTDIR:.", *sorted(set(shell_scripts()))], whole, {})
    # Uninitialised variables are an error of GCC's already, which follows conditions that depend on each other.
    yield Step("cppcheck", ["cppcheck", "-q", "-j", str(os.cpu_count()), "--enable=warning,performance", "--std=c11", "--inline-suppr", "--error-exitcode=1",
                            f"--include={ROOT}/ops/lib/cppcheck.h",
                            "--suppress=missingIncludeSystem", "--suppress=uninitvar", "--library=posix", "-D__GNUC__", "-I.",
                            *[s for s in sources if s.endswith(".c")]], whole, {})


def unit():
    for preset in ("release", "asan"):
        yield build(preset)
        report = OUT / f"unit-{preset}.xml"
        yield Step(f"unit-{preset}", ["ctest", "--test-dir", ROOT / "build" / preset, "-j", str(os.cpu_count()), "--timeout", "300",
                                      "--output-on-failure", "--test-output-size-passed", "1000000",
                                      "--output-junit", report], cases(report, per_program=True), {})


def sql():
    yield Step("sql", [ROOT / "ops/lib/sql_tests.sh", OUT / "sql-stack"], tap, {})


def fuzz():
    tree = ROOT / "build" / "fuzz"
    yield Step("build-fuzz", ["sh", "-ec", f'test -f "{tree}/build.ninja" || cmake -S "{ROOT}" -B "{tree}" -G Ninja '
                              f'-DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=Debug '
                              f'-DCOLDFLEET_SANITIZE=ON -DCOLDFLEET_FUZZ=ON; ninja -C "{tree}" tests/fuzz/all'], whole, {})
    targets = [Path(source).stem for source in tracked("tests/fuzz/fuzz_*.c")]
    for i in range(0, len(targets), 2):
        yield [fuzz_step(tree, name) for name in targets[i:i + 2]]


def fuzz_step(tree, name):
    grown, kept = OUT / "corpus" / name, ROOT / "tests" / "fuzz" / "corpus" / name
    grown.mkdir(parents=True, exist_ok=True)
    return Step(name, [tree / "fuzz" / name, f"-max_total_time={FUZZ_SECONDS}", "-timeout=10", "-rss_limit_mb=1024",
                       "-print_final_stats=1", f"-artifact_prefix={OUT}/{name}-", grown, *([kept] if kept.is_dir() else [])],
                whole, {})


def failed_tests(report):
    """Names, as pytest takes them, of what failed in a JUnit report."""
    for case in ElementTree.parse(report).iter("testcase") if report.exists() else ():
        if case.find("failure") is not None or case.find("error") is not None:
            yield case.get("classname").replace(".", "/") + ".py::" + case.get("name")


def scenario_step(preset, name, tests, workers=()):
    report = OUT / f"{name}.xml"
    command = ["/usr/bin/python3", "-B", "-m", "pytest", "-p", "no:cacheprovider", "-q", "--tb=short", f"--junit-xml={report}",
               "--durations=8", *workers, *([] if preset == "release" else ["-m", "not release_only"]), *tests]
    return Step(name, command, cases(report),
                {"COLDFLEET_BUILT": "yes", "COLDFLEET_CLUSTERS": str(OUT / "clusters"), "COLDFLEET_PRESET": preset, "COLDFLEET_PATIENCE": "2" if preset == "release" else "4"})


def alone(preset, step):
    """A test that failed while both builds shared the machine gets one more try by itself; it is named either way."""

    def again():
        tests = list(failed_tests(OUT / f"{step.name}.xml"))
        return scenario_step(preset, f"{step.name}-again", tests) if 0 < len(tests) <= 5 else None

    step.again = again
    return step


def scenario():
    """Both builds at once, and of each two files at once: the tests wait more than they compute."""
    presets = ["release", "asan"]
    for preset in presets:
        yield build(preset)
    yield [alone(preset, scenario_step(preset, f"scenario-{preset}", ["tests/scenario"], ["-n", "2", "--dist", "loadfile"])) for preset in presets]


FAULT = ["--kills", "20", "--quick", "--seed", "5"]  # or what follows `ops/test fault`


def fault():
    """Everything fails at random under a running fleet: tests/fault/run.py."""
    yield build("release")
    yield Step("fault", ["/usr/bin/python3", "-B", ROOT / "tests/fault/run.py", *FAULT], whole,
               {"COLDFLEET_BUILT": "yes", "COLDFLEET_CLUSTERS": str(OUT / "clusters"), "COLDFLEET_PRESET": "release"}, timeout=7200)


PARTS = {"lint": lint, "unit": unit, "sql": sql, "fuzz": fuzz, "scenario": scenario, "fault": fault}


class Commands:
    """Each leads a session of its own, so that it can be ended with all that it started."""

    TIDY = 60  # seconds in which one that is told to end puts away what it started
    ending = False

    def run(self, step, out):
        """The exit status. TimeoutExpired also when we are to end."""
        process = subprocess.Popen([str(word) for word in step.command], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                   env={**os.environ, **step.environ}, start_new_session=True)
        until = time.monotonic() + step.timeout
        try:
            while not self.ending and time.monotonic() < until:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    return process.wait(0.2)
            raise subprocess.TimeoutExpired(step.name, step.timeout)
        finally:
            self.put_away(process)

    def put_away(self, process):
        if process.poll() is not None:
            return
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(self.TIDY)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def end(self, number, _):
        """A signal that asks us to end: those at work first."""
        if not self.ending:
            self.ending = True
            sys.exit(128 + number)


COMMANDS = Commands()


def run(step):
    """Runs one step; returns what it counted, with a failure for an end that no test explains."""
    log = OUT / f"{step.name}.log"
    started = time.monotonic()
    with open(log, "wb") as out:
        try:
            status = COMMANDS.run(step, out)
        except (OSError, subprocess.TimeoutExpired) as e:
            out.write(f"\n{e}\n".encode())
            status = -1
    output = log.read_text(errors="replace")
    passed, failed = step.count(status, output)
    if status != 0 and failed == 0:
        failed = 1
    if status == 0 and passed + failed == 0:
        failed = 1
        output += "\nno test ran\n"
    print(f"{step.name:18} {passed:5} passed {failed:4} failed  {time.monotonic() - started:6.1f} s", flush=True)
    if step.name == "fault":
        print("\n".join("    " + line for line in output.splitlines() if line.startswith(("seed", "{"))), flush=True)
    if failed:
        print("\n".join("    " + line for line in output.splitlines()[-60:]), f"    (all of it: {log})", sep="\n", flush=True)
    return passed, failed


def alone_in_tree():
    """A second run would remove what the first one is writing. The lock is on the folder of the checkout, so it needs no file that somebody
    else might own, and is gone with this process; what it starts does not inherit it."""
    tree = os.open(ROOT, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(tree, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"ops/test: another ops/test is at work in {ROOT} and both would write {OUT}: expected one at a time; wait until it has ended, or "
              "use a checkout of its own (git worktree add)", file=sys.stderr)
        sys.exit(2)


def main():
    parser = argparse.ArgumentParser(prog="ops/test", description="Runs every test, or the parts named; one run at a time in a checkout.")
    parser.add_argument("part", nargs="*", metavar="|".join(PARTS), help="default: all of them")
    parser.add_argument("--kills", help="with fault: how many faults, which then last longer; what else follows is for tests/fault/run.py, see its --help")
    given, more = parser.parse_known_args()
    if given.part == ["fault"] and (given.kills or more):
        FAULT[:] = [*(["--kills", given.kills] if given.kills else []), *more]
    elif given.kills or more:
        parser.error(f"{' '.join(more) or '--kills'}: only with the part fault alone")
    unknown = [name for name in given.part if name not in PARTS]
    if unknown:
        parser.error(f"no part {unknown[0]}; there are {', '.join(PARTS)}")
    alone_in_tree()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup wants it
            signal.signal(number, COMMANDS.end)
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    passed = failed = 0
    for name in given.part or PARTS:
        for entry in PARTS[name]():
            steps = entry if isinstance(entry, list) else [entry]
            with ThreadPoolExecutor(len(steps)) as pool:
                counts = list(pool.map(run, steps))
            for i, step in enumerate(steps):
                second = step.again() if step.again and counts[i][1] else None
                if second is not None:
                    print(f"{step.name}: once more, alone: {' '.join(second.command[-counts[i][1]:])}", flush=True)
                    good, bad = run(second)
                    counts[i] = (counts[i][0] + good, bad)
            compiles = steps[0].name.startswith("build-")
            # That something compiles is no test, unless it does not.
            passed += 0 if compiles else sum(good for good, _ in counts)
            failed += sum(bad for _, bad in counts)
            if compiles and counts[0][1]:
                break
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


sys.exit(main())
