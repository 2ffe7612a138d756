# SPDX-License-Identifier: Apache-2.0
"""What every benchmark shares: words for a person on standard error, commands that end with us, and a private coldfleet
that is gone afterwards, however the run ends."""

import argparse
import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "ops" / "demo"


class Failure(Exception):
    """Ends a case with a message."""


class Late(Exception):
    """The time for the whole run is over."""


def tell(*words):
    print("bench:", *words, file=sys.stderr, flush=True)


def run(*words, environ=(), **options):
    """A command in a session of its own, so that Ctrl-C reaches it through us alone. Returns its output."""
    child = subprocess.Popen([str(word) for word in words], start_new_session=True, text=True,
                             env={**os.environ, **dict(environ)},
                             **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": sys.stderr, **options})
    try:
        said, _ = child.communicate()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGTERM)
        child.wait()
        raise
    if child.returncode != 0:
        raise Failure(f"{Path(words[0]).name} ended with status {child.returncode}: {' '.join((said or '').split())[-500:]}")
    return said


def end_in_time(seconds, advice):
    """Signals that ask us to end, and the time for the whole run, become exceptions."""

    def late(*_):
        raise Late(f"gave up after {seconds} seconds; {advice}")

    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, lambda *_: sys.exit(130))
    signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)


def end(process):
    """A process that leads a session of its own, with all that it started."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def number(least, most):
    """For argparse: a whole number within bounds."""

    def parse(text):
        if not text.isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text}: expected a whole number from {least} to {most}")
        return int(text)

    return parse


class Private:
    """A private coldfleet in a folder of its own."""

    def __init__(self):
        self.dir = Path(tempfile.mkdtemp(prefix="coldfleet-bench-"))
        self.env = {}

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
            signal.signal(number, signal.SIG_IGN)
        tell("removing all of it")
        subprocess.run([DEMO, "--dir", self.dir, "down"], stdout=subprocess.DEVNULL, start_new_session=True, check=False)
        shutil.rmtree(self.dir, ignore_errors=True)

    def demo(self, *words):
        run(DEMO, "--dir", self.dir, *words)

    def up(self, *words):
        """All parts but the trackers; reads the environment that it wrote."""
        self.demo("--detach", "--trackers", "0", *words)
        lines = (shlex.split(line)[1] for line in (self.dir / "env").read_text().splitlines() if line.startswith("export COLDFLEET_"))
        self.env = dict(line.split("=", 1) for line in lines)

    def psql(self, *words, **options):
        return run("psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", self.env["COLDFLEET_DB_OWNER"], *words, **options)
