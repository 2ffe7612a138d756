# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the scenario tests: a running coldfleet, shared by the tests of a file or made for one test alone."""

import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from stack import Stack  # noqa: E402


def pytest_configure(config):
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # who is told to end puts away what runs, first
    config.addinivalue_line("markers", "release_only: measures or uses valgrind, so not run with the sanitizer build")


def running(folder):
    stack = Stack(folder)
    try:
        yield stack
    finally:
        stack.down()


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """One stack for all tests of a file, without simulated trackers; spare-01 … spare-05 are enrolled."""
    yield from running(tmp_path_factory.mktemp("stack"))


@pytest.fixture
def own_stack(tmp_path):
    """A stack for one test that leaves it in a state that others should not meet."""
    yield from running(tmp_path)


@pytest.fixture
def without_ingest(line):
    """The stack's own ingest is down, for a test that starts its own; it is back afterwards."""
    line.stack.stop("ingest")
    yield
    line.stack.start("ingest")
