# SPDX-License-Identifier: Apache-2.0
"""ops/bench: what it prints for a program to read, and that nothing of it is left, however it ends."""

import json
import os
import signal
import subprocess

import pytest

from stack import PRESET, ROOT, wait_for

BENCH = ROOT / "ops" / "bench"


def environment(folder):
    folder.mkdir()
    return {**os.environ, "COLDFLEET_PRESET": PRESET, "TMPDIR": str(folder)}


def processes_that_name(folder):
    found = subprocess.run(["pgrep", "-f", str(folder)], capture_output=True, text=True).stdout.split()
    return [pid for pid in found if pid != str(os.getpid())]


@pytest.mark.release_only
def test_bench_alarm_prints_how_long_an_alarm_takes_and_what_the_cold_chain_costs_and_leaves_nothing(tmp_path):
    folder = tmp_path / "bench"
    run = subprocess.run([BENCH, "alarm", "--devices", "2000", "--trackers", "100", "--alarms", "20", "--rate", "500", "--seconds", "2",
                          "--messages", "5000", "--rounds", "1", "--json"], capture_output=True, text=True, env=environment(folder), timeout=300)
    assert run.returncode == 0, run.stderr
    latency, cost = map(json.loads, run.stdout.splitlines())
    assert list(latency) == ["bench", "case", "messages_per_s", "alarms", "breach_to_webhook_ms"]
    assert latency["case"] == "latency" and latency["alarms"] == 20
    assert 0 < latency["breach_to_webhook_ms"]["p50"] <= latency["breach_to_webhook_ms"]["p99"]
    assert list(cost) == ["bench", "case", "messages_per_s", "calm_per_s", "alone_per_s", "to_calm", "to_alone"]
    assert cost["case"] == "cost" and cost["to_calm"] > 0 and cost["to_alone"] > 0
    assert list(folder.iterdir()) == []
    assert processes_that_name(folder) == []


@pytest.mark.release_only
def test_bench_api_prints_a_line_of_json_for_each_case_and_leaves_nothing(tmp_path):
    folder = tmp_path / "bench"
    run = subprocess.run([BENCH, "api", "--devices", "2000", "--readings", "20000", "--seconds", "1", "--json"],
                         capture_output=True, text=True, env=environment(folder), timeout=300)
    assert run.returncode == 0, run.stderr
    results = {line["case"]: line for line in map(json.loads, run.stdout.splitlines())}
    assert list(results) == ["device", "fleet_page", "summary", "readings_csv"]
    for line in results.values():
        assert list(line) == ["bench", "case", "per_s", "pgbench_per_s", "ratio", "p50_ms", "p99_ms", "rss_mib"]
        assert line["bench"] == "api" and line["per_s"] > 0 and 0 < line["rss_mib"] < 256
    assert results["device"]["ratio"] > 0
    assert 0 < results["fleet_page"]["p50_ms"] <= results["fleet_page"]["p99_ms"]
    assert list(folder.iterdir()) == []
    assert processes_that_name(folder) == []


@pytest.mark.release_only
def test_bench_command_prints_a_line_of_json_for_each_case_and_leaves_nothing(tmp_path):
    folder = tmp_path / "bench"
    run = subprocess.run([BENCH, "command", "--trackers", "50", "--rounds", "1", "--commands", "5", "--telemetry", "200", "--json"],
                         capture_output=True, text=True, env=environment(folder), timeout=300)
    assert run.returncode == 0, run.stderr
    results = {line["case"]: line for line in map(json.loads, run.stdout.splitlines())}
    assert list(results) == ["fleet", "single"]
    for line in results.values():
        assert list(line) == ["bench", "case", "commands_per_s", "accept_ms", "trackers", "telemetry_per_s"]
        assert line["trackers"] == 50 and line["commands_per_s"] > 0 and 0 < line["accept_ms"]["p50"] <= line["accept_ms"]["p99"]
    assert 100 < results["single"]["telemetry_per_s"] < 300
    assert list(folder.iterdir()) == []
    assert processes_that_name(folder) == []


@pytest.mark.release_only
def test_bench_ingest_prints_a_line_of_json_for_each_way_in_and_leaves_nothing(tmp_path):
    folder = tmp_path / "bench"
    run = subprocess.run([BENCH, "ingest", "--devices", "2000", "--trackers", "20", "--messages", "5000", "--rounds", "1", "--seconds", "1",
                          "--space", "5000", "--variants", "json-1", "--sources", "lane-1,ring-1", "--json"],
                         capture_output=True, text=True, env=environment(folder), timeout=300)
    assert run.returncode == 0, run.stderr
    results = list(map(json.loads, run.stdout.splitlines()))
    assert [(line["variant"], line["source"]) for line in results] == [("json-1-1", "lane"), ("json-1-1", "ring")]
    for line in results:
        assert list(line) == ["bench", "variant", "source", "readings_per_message", "stored_per_s", "null_per_s", "ratio", "cpu_us",
                              "visible_ms", "bytes_per_reading", "rss_mib"]
        assert set(line["cpu_us"]) == {"generator", "broker", "ingest", "postgres"} and set(line["visible_ms"]) == {"p50", "p99"}
        assert line["stored_per_s"] > 0 and line["null_per_s"] > 0 and 0 < line["visible_ms"]["p50"] <= line["visible_ms"]["p99"]
        assert 60 < line["bytes_per_reading"] < 200 and 0 < line["rss_mib"] < 200
    assert list(folder.iterdir()) == []
    assert processes_that_name(folder) == []


@pytest.mark.release_only
def test_bench_query_prints_a_line_of_json_for_each_case_and_leaves_nothing(tmp_path):
    folder = tmp_path / "bench"
    run = subprocess.run([BENCH, "query", "--devices", "100", "--readings", "20000", "--rounds", "1", "--json"],
                         capture_output=True, text=True, env=environment(folder), timeout=300)
    assert run.returncode == 0, run.stderr
    results = {line["case"]: line for line in map(json.loads, run.stdout.splitlines())}
    assert list(results) == ["figures", "excursions", "daily_rollup", *(f"question_{n}" for n in range(1, 21))]
    for line in results.values():
        assert list(line) == ["bench", "case", "rows", "p50_ms", "p99_ms"] and line["bench"] == "query" and 0 < line["p50_ms"] <= line["p99_ms"]
    assert results["figures"]["rows"] == 1 and results["daily_rollup"]["rows"] >= 2400 and results["excursions"]["rows"] > 0
    assert list(folder.iterdir()) == []
    assert processes_that_name(folder) == []


@pytest.mark.release_only
def test_bench_away_prints_a_line_of_json_and_leaves_nothing(tmp_path):
    folder = tmp_path / "bench"
    run = subprocess.run([BENCH, "away", "--trackers", "20", "--rate", "50", "--seconds", "5", "--json"],
                         capture_output=True, text=True, env=environment(folder), timeout=300)
    assert run.returncode == 0, run.stderr
    result = json.loads(run.stdout)
    assert list(result) == ["bench", "source", "trackers", "messages_per_s", "away_s", "calm", "drain", "ratio", "fresh_s", "newcomers_s",
                            "whole_s", "rss_mib"]
    assert set(result["calm"]) == {"messages_per_s", "readings_per_s"} and all(rate > 0 for rate in result["calm"].values())
    drain = result["drain"]
    assert drain["seconds"] > 0 and drain["messages"] > 0 and drain["readings"] > 0 and result["ratio"] >= 0 and result["newcomers_s"] >= 0
    assert 0 < result["fresh_s"]["half"] <= result["fresh_s"]["p99"] <= result["whole_s"]
    assert list(folder.iterdir()) == []
    assert processes_that_name(folder) == []


@pytest.mark.release_only
def test_bench_storm_prints_a_line_of_json_and_leaves_nothing(tmp_path):
    folder = tmp_path / "bench"
    run = subprocess.run([BENCH, "storm", "--trackers", "20", "--outage", "1", "--interval", "2", "--json"],
                         capture_output=True, text=True, env=environment(folder), timeout=300)
    assert run.returncode == 0, run.stderr
    result = json.loads(run.stdout)
    assert list(result) == ["bench", "trackers", "outage_s", "heard_s", "connections_per_tracker", "whole_s", "rss_mib"]
    assert 0 < result["heard_s"]["p50"] <= result["heard_s"]["p99"] <= result["heard_s"]["last"] < result["whole_s"]
    assert result["connections_per_tracker"] >= 1 and set(result["rss_mib"]) == {"broker", "ingest"}
    assert list(folder.iterdir()) == []
    assert processes_that_name(folder) == []


@pytest.mark.release_only
def test_bench_that_is_interrupted_leaves_nothing(tmp_path):
    folder = tmp_path / "bench"
    bench = subprocess.Popen([BENCH, "api", "--devices", "2000", "--readings", "20000", "--seconds", "15"], start_new_session=True,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(folder))
    for line in bench.stderr:
        if "measuring device" in line:
            break
    os.killpg(bench.pid, signal.SIGINT)  # what a terminal does
    said, complaint = bench.communicate(timeout=60)
    assert bench.returncode == 130, complaint
    assert said == ""
    assert list(folder.iterdir()) == []
    wait_for(lambda: processes_that_name(folder) == [], 20, "everything to end")


@pytest.mark.parametrize("words, status, complaint", [
    (["ingest", "--variants", "xml-1"], 2, "xml-1: expected some of json-1,cbor-1,json-12,cbor-12,json-144,cbor-144"),
    (["query", "--readings", "1"], 2, "1: expected a whole number from 10000 to 1000000000"),
    ([], 2, "expected a benchmark"),
    (["everything"], 2, "expected a benchmark (alarm, api, away, command, ingest, query, storm), got 'everything'"),
    (["api", "--devices", "many"], 2, "many: expected a whole number from 100 to 5000000"),
    (["api", "--seconds", "0"], 2, "0: expected a whole number from 1 to 15"),
    (["command", "--trackers", "5"], 2, "5: expected a whole number from 10 to 100000"),
])
def test_wrong_words_end_with_status_2_and_what_was_expected(words, status, complaint):
    run = subprocess.run([BENCH, *words], capture_output=True, text=True)
    assert run.returncode == status and complaint in run.stderr
