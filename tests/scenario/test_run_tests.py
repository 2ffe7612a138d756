# SPDX-License-Identifier: Apache-2.0
"""ops/test in a tree of its own, with tools that only wait and agree: one at a time, and that one is let be."""

import os
import shutil
import signal
import subprocess
import sys

import pytest

from stack import PATIENCE, ROOT, wait_for

TOOLS = {"clang-format": 'trap "echo put away; exit 1" TERM; [ -z "${HOLD:-}" ] || { echo at work; read -r _ <"$HOLD"; }', "shellcheck": "", "cppcheck": ""}
GOOD = (0, ["3 passed, 0 failed"], "")


class Tree:
    """A checkout with nothing in it but the runner."""

    def __init__(self, folder):
        self.root, self.tools, self.fifo = folder / "tree", folder / "bin", folder / "hold"
        (self.root / "ops" / "lib").mkdir(parents=True)
        shutil.copy(ROOT / "ops/lib/run_tests.py", self.root / "ops/lib")
        self.tools.mkdir()
        for name, does in TOOLS.items():
            (self.tools / name).write_text(f"#!/bin/sh\n{does}\nexit 0\n")
            (self.tools / name).chmod(0o755)
        os.mkfifo(self.fifo)
        self.hold = os.open(self.fifo, os.O_RDWR)
        self.log = self.root / "var/test/format.log"

    def start(self, **environ):
        return subprocess.Popen([sys.executable, "-B", self.root / "ops/lib/run_tests.py", "lint"], text=True, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, env={**os.environ, "PATH": f"{self.tools}:{os.environ['PATH']}", **environ})

    def start_held(self):
        """Is at work until release()."""
        run = self.start(HOLD=str(self.fifo))
        wait_for(lambda: self.log.exists() and self.log.stat().st_size > 0, 20, "the run to be at work")
        return run

    def release(self):
        os.write(self.hold, b"on\n")


@pytest.fixture
def tree(tmp_path):
    tree = Tree(tmp_path)
    yield tree
    tree.release()
    os.close(tree.hold)


def ended(run):
    out, err = run.communicate(timeout=30 * PATIENCE)
    return run.returncode, out.splitlines()[-1:], err


def test_a_second_run_in_the_same_tree_says_so_and_leaves_the_first_alone(tree):
    first = tree.start_held()
    kept = tree.log.stat().st_ino
    status, last, err = ended(tree.start())
    assert (status, last) == (2, []) and "another ops/test" in err and str(tree.root) in err, (status, last, err)
    assert tree.log.stat().st_ino == kept
    tree.release()
    assert ended(first) == GOOD
    assert ended(tree.start()) == GOOD, "expected one after the other to go well"


def test_a_run_that_was_killed_keeps_nobody_out_though_what_it_started_goes_on(tree):
    first = tree.start_held()
    first.kill()
    first.communicate(timeout=20 * PATIENCE)
    assert ended(tree.start()) == GOOD


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_run_that_is_told_to_end_ends_what_it_started_and_lets_it_tidy_up(tree, number):
    run = tree.start_held()
    run.send_signal(number)
    status, last, err = ended(run)
    assert status == 128 + number and "put away" in tree.log.read_text(), (status, last, err, tree.log.read_text())
    assert ended(tree.start()) == GOOD
