# SPDX-License-Identifier: Apache-2.0
"""coldfleet-ingest as a service: how it starts, says what is wrong, reloads, becomes ready, and stops."""

import os
import signal
import subprocess
import time

import pytest

from ingest_helpers import STREAM, Frozen, Ingest, Line, Stream, as_json, http_get, senml
from stack import BIN, wait_for

NOW = round(time.time())


@pytest.fixture(scope="module")
def line(stack):
    with Line(stack) as line:
        yield line


# Stopping


def test_sigterm_under_load_stops_within_the_deadline_with_status_0_and_loses_nothing(line, without_ingest):
    stream = Stream(line)
    for part in range(1, 4):
        with Ingest(line.stack) as ingest:
            stream.wait_until_stored(STREAM * part // 8)
            began = time.monotonic()
            assert ingest.terminate() == 0
            assert time.monotonic() - began < 20, "stop_timeout"
    with Ingest(line.stack):
        stream.assert_complete()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_to_an_idle_process_ends_it_with_status_0(line, without_ingest, number):
    with Ingest(line.stack).wait_ready() as ingest:
        ingest.process.send_signal(number)
        assert ingest.process.wait(20) == 0


def test_sigterm_while_postgresql_stands_still_ends_at_the_deadline_with_status_1_and_loses_nothing(line, without_ingest):
    device = line.device()
    with Ingest(line.stack, "ingest.stop_timeout=500ms", "ingest.log_level=debug").wait_ready() as ingest:
        device.ask(senml([0], seq=0, start=NOW))
        with Frozen(line.stack, "postgres"):
            device.publish(senml([1], seq=1, start=NOW + 1))
            wait_for(lambda: ingest.log_file.read_text().count("-> COMMITTING messages=1") == 2, 20, "the second commit")
            assert ingest.terminate() == 1
            assert "graceful stop did not end within stop_timeout" in ingest.log_file.read_text()
    with Ingest(line.stack).wait_ready() as ingest:
        wait_for(lambda: ingest.metric("messages_total") == 1, 20, "the message to come again")
        assert device.temperatures() == [0, 1]


def test_sigterm_while_broker_and_postgresql_are_away_ends_with_status_0(line, without_ingest):
    with Ingest(line.stack, "ingest.database=postgresql:///x?host=/nowhere", "ingest.mqtt_host=/nowhere.sock") as ingest:
        wait_for(lambda: ingest.ready()[0] == 503, 20, "the process to run")
        assert ingest.terminate() == 0


# Readiness


def test_readyz_is_503_with_a_reason_while_postgresql_is_down_and_recovers_by_itself(line):
    pid = line.stack.pid("ingest")
    assert line.ready() == (200, "ready")
    line.stack.stop("postgres")
    status, words = wait_for(lambda: line.ready()[0] == 503 and line.ready(), 20, "readyz to say so")
    assert status == 503 and "database" in words and "down" in words
    assert http_get(line.stack.env["COLDFLEET_METRICS_INGEST"].replace("/metrics", "/healthz")) == (200, "ok")
    assert line.metric("lanes_online") == 0
    line.stack.start("postgres")
    wait_for(lambda: line.ready() == (200, "ready"), 30, "ingest to recover")
    assert line.stack.pid("ingest") == pid and line.metric("lanes_online") == 1
    assert line.device().ask(senml([1.5], seq=0))["through"] == 0


def test_messages_within_the_interval_of_batches_are_stored_together(line):
    device = line.device()
    line.stack.stop("ingest")
    try:
        with Ingest(line.stack, "ingest.batch_interval=1s", "ingest.connections=1").wait_ready() as ingest:
            device.ask(senml([0], seq=0, start=NOW))
            for i in range(1, 21):
                device.publish(senml([i], seq=i, start=NOW + i))
            wait_for(lambda: device.count() == 21, 20, "all")
            assert ingest.metric("batches_total") <= 3
    finally:
        line.stack.start("ingest")


def test_many_readings_do_not_wait_for_the_interval_of_batches(line, without_ingest):
    device = line.device()
    with Ingest(line.stack, "ingest.batch_interval=1s", "ingest.batch_readings=40").wait_ready():
        began = time.monotonic()
        for i in range(30):
            assert device.ask(senml([i] * 10, seq=10 * i, start=NOW + 10 * i))["through"] == 10 * i + 9
        assert time.monotonic() - began < 20, "each in an interval of its own takes 29 s"


def test_readyz_is_503_with_a_reason_while_the_broker_is_down_and_recovers_by_itself(line):
    pid = line.stack.pid("ingest")
    line.stack.stop("broker")
    status, words = wait_for(lambda: line.ready()[0] == 503 and line.ready(), 20, "readyz to say so")
    assert status == 503 and "broker" in words and "down" in words
    line.stack.start("broker")
    wait_for(lambda: line.ready() == (200, "ready"), 30, "ingest to recover")
    wait_for(line.publisher.connected.is_set, 20, "the publisher to be back")
    assert line.stack.pid("ingest") == pid
    assert line.device().ask(senml([1.5], seq=0))["through"] == 0


def test_message_sent_while_ingest_is_down_is_stored_when_it_is_back(line, without_ingest):
    device = line.device()
    device.publish(senml([1.5], seq=0))
    with Ingest(line.stack):
        wait_for(lambda: device.temperatures() == [1.5], 20, "the reading")


def test_ingest_started_before_postgresql_and_broker_becomes_ready_when_they_come(line, without_ingest):
    line.stack.stop("broker")
    line.stack.stop("postgres")
    with Ingest(line.stack) as ingest:
        wait_for(lambda: ingest.ready() == (503, "the device directory is down"), 20, "the process to run")
        line.stack.start("postgres")
        wait_for(lambda: ingest.ready() == (503, "a lane (broker or database) is down"), 20, "the directory to be loaded")
        line.stack.start("broker")
        wait_for(lambda: ingest.ready() == (200, "ready"), 20, "ingest to be ready")
        assert ingest.terminate() == 0


# Configuration


def config_copy(line, tmp_path):
    path = tmp_path / "ingest.ini"
    path.write_text((line.stack.dir / "coldfleet.ini").read_text())
    return path


def replace_section(path, **values):
    """Sets keys of [ingest]; the file has that section first."""
    kept = [row for row in path.read_text().splitlines() if row.partition("=")[0].strip() not in values]
    at = kept.index("[ingest]") + 1
    path.write_text("\n".join(kept[:at] + [f"{key} = {value}" for key, value in values.items()] + kept[at:]) + "\n")


def reload(ingest, words):
    """SIGHUP; what has been logged until `words` come up."""
    before = len(ingest.log_file.read_text())
    ingest.process.send_signal(signal.SIGHUP)
    return wait_for(lambda: words in ingest.log_file.read_text()[before:] and ingest.log_file.read_text()[before:], 20, words)


def test_sighup_re_reads_log_level_and_limits_and_says_what_needs_a_restart(line, without_ingest, tmp_path):
    config, device = config_copy(line, tmp_path), line.device()
    long_pack = as_json(senml([1] * 40, seq=0, start=NOW - 4000))
    replace_section(config, log_level="info", max_pack_bytes="64KiB", max_age="400d")
    with Ingest(line.stack, config=config).wait_ready() as ingest:
        device.ask(long_pack)
        assert "READING" not in ingest.log_file.read_text()

        replace_section(config, log_level="debug", max_pack_bytes="1KiB", max_age="10m", lanes="5")
        said = reload(ingest, "reloaded")
        assert "ingest.lanes" in said, "a value that only a restart changes is named"
        device.publish(long_pack)
        wait_for(device.quarantine, 20, "the limit on bytes")
        assert device.quarantine()[0][:2] == ("too-large", f"{len(long_pack)} bytes: expected at most 1024")
        device.publish(senml([2], seq=99, start=NOW - 3600))
        wait_for(lambda: [row[0] for row in device.quarantine()] == ["too-large", "clock"], 20, "the limit on age")
        assert "READING -> COMMITTING" in ingest.log_file.read_text()

        replace_section(config, max_pack_bytes="1MB")
        said = reload(ingest, "reload failed, nothing changed")
        row = config.read_text().splitlines().index("max_pack_bytes = 1MB") + 1
        assert f"{config}:{row}: ingest.max_pack_bytes: expected" in said and "'1MB'" in said
        device.publish(long_pack)
        wait_for(lambda: device.quarantine()[0][4] == 2, 20, "the limit to be what it was")
        assert ingest.ready() == (200, "ready")


def run(*words):
    return subprocess.run([BIN / "coldfleet-ingest", *words], capture_output=True, text=True, timeout=20)


def test_check_config_prints_every_value_with_its_origin(tmp_path):
    path = tmp_path / "some.ini"
    path.write_text("[other]\nlanes = 9\n\n[ingest]\nlanes = 3\nmax_ahead = 30s\n")
    shown = run("--set", "ingest.max_ahead=20s", "--config", path, "--check-config")
    assert shown.returncode == 0 and shown.stderr == ""
    values = dict(row.split(" = ", 1) for row in shown.stdout.splitlines())
    assert values["ingest.lanes"].split() == ["3", "#", f"{path}:5"]
    assert values["ingest.max_ahead"].split() == ["20s", "#", "--set"]
    assert values["ingest.max_pack_samples"].split() == ["2048", "#", "default"]
    listed = [row.split("=")[0].strip() for row in run("--help-config").stdout.splitlines() if " = " in row]
    assert sorted(values) == sorted(f"ingest.{key.lstrip('#; ')}" for key in listed)


def test_check_config_prints_the_value_in_force_to_the_last_digit():
    shown = run("--set", "ingest.max_age=12345678s", "--check-config").stdout
    assert "ingest.max_age = 12345678s " in shown


@pytest.mark.parametrize("text, words", [
    ("[ingest]\nlanes = two\n", [":2: ingest.lanes: expected a whole number, got 'two'"]),
    ("[ingest]\nlanes = 0\n", [":2: ingest.lanes: 0 is out of bounds, expected 1 to 64"]),
    ("[ingest]\nlanes = 65\n", [":2: ingest.lanes: 65 is out of bounds, expected 1 to 64"]),
    ("[ingest]\n\nlane = 2\n", [":3: unknown key 'ingest.lane', the nearest known one is 'ingest.lanes'"]),
    ("[ingest]\nmax_age = 3 weeks\n", [":2: ingest.max_age: expected", "'3 weeks'"]),
    ("[ingest]\nmax_pack_bytes = 64 KB\n", [":2: ingest.max_pack_bytes: expected", "'64 KB'"]),
    ("[ingest]\nlog_level = loud\n", [":2: ingest.log_level: expected", "'loud'"]),
    ("[ingest\nlanes = 2\n", [":1: expected '[section]' or 'key = value'"]),
    ("lanes\n", [":1: expected '[section]' or 'key = value'"]),
    ("[ingest]\nmqtt_password_file = /nowhere\nmonitor =\n", ["ingest.mqtt_password_file: /nowhere: No such file"]),
    ("[ingest]\nmonitor = 0.0.0.0:9999\n", ["monitor: 0.0.0.0:9999 is not a loopback address"]),
    ("[ingest]\nmonitor = here\n", ["monitor: expected 127.0.0.1:PORT", "'here'"]),
], ids=["not-a-number", "too-small", "too-large", "unknown-key", "time", "bytes", "level", "section", "no-value", "password-file",
        "monitor-for-all", "monitor"])
def test_wrong_configuration_is_named_with_file_line_and_what_was_expected_and_the_status_is_2(tmp_path, text, words):
    path = tmp_path / "wrong.ini"
    path.write_text(text)
    shown = run("--config", path)
    assert shown.returncode == 2 and shown.stdout == ""
    assert len(shown.stderr.splitlines()) == 1
    for word in words:
        assert (f"{path}{word}" if word[0] == ":" else word) in shown.stderr


def test_unknown_key_is_answered_with_a_key_that_exists():
    named = run("--set", "ingest.max_packbytes=2").stderr.split("nearest known one is '")[1].split("'")[0]
    keys = [row.split("=")[0].strip() for row in run("--check-config").stdout.splitlines()]
    assert named == "ingest.max_pack_bytes" and named in keys


@pytest.mark.parametrize("words, said", [
    (["--set", "ingest.lanes"], "--set 'ingest.lanes': expected section.key=value"),
    (["--set", "ingest.lanes=many"], "--set: ingest.lanes: expected a whole number, got 'many'"),
    (["--config", "/nowhere.ini"], "/nowhere.ini: cannot be read: No such file or directory"),
    (["start"], "unexpected argument 'start'"),
    (["--lanes"], "unrecognized option '--lanes'"),
], ids=["no-value", "wrong-value", "no-file", "argument", "option"])
def test_wrong_command_line_is_explained_and_the_status_is_2(words, said):
    shown = run(*words)
    assert shown.returncode == 2 and said in shown.stderr


def test_port_that_is_taken_is_named_and_the_status_is_2(line):
    monitor = line.stack.env["COLDFLEET_METRICS_INGEST"].split("/")[2]
    shown = run("--config", line.stack.dir / "coldfleet.ini", "--set", f"ingest.monitor={monitor}")
    assert shown.returncode == 2
    assert f"monitor: cannot listen on {monitor}: {os.strerror(98)}" in shown.stderr
