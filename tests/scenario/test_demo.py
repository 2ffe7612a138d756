# SPDX-License-Identifier: Apache-2.0
"""ops/demo: what it promises to the person who types it, above all about what it leaves behind."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from stack import BIN, DEMO, PRESET, ROOT, Stack, wait_for


def processes_of(*folders):
    """Pids of processes that work in one of the folders or name it on their command line."""
    found = []
    for proc in Path("/proc").glob("[0-9]*"):
        try:
            words = (proc / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            place = os.readlink(proc / "cwd")
        except OSError:
            continue
        if any(str(folder) in words or place.startswith(str(folder)) for folder in folders):
            found.append((int(proc.name), words))
    return found


def settings(folder):
    lines = (Path(folder) / "settings").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


def foreground(folder, **options):
    """As a terminal starts it. SIGINT is set back: who runs the tests in the background has it ignored, and bash keeps that."""
    return subprocess.Popen([DEMO, "--dir", folder, "--trackers", "0"], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            env={**os.environ, "COLDFLEET_PRESET": PRESET},
                            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL), **options)


@pytest.fixture
def folder(tmp_path):
    yield tmp_path / "demo"
    subprocess.run([DEMO, "--dir", tmp_path / "demo", "down"], capture_output=True, check=True)


def test_demo_brings_the_readings_of_every_tracker_back_through_rest(folder):
    stack = Stack(folder, "--trackers", "4", "--interval", "1", "--backfill", "10m")
    serials = [item["serial"] for item in stack.rest("/v1/devices").json["items"]]
    assert [s for s in serials if s.startswith("demo-")] == ["demo-00001", "demo-00002", "demo-00003", "demo-00004"]
    assert [s for s in serials if s.startswith("spare-")] == [f"spare-0{n}" for n in range(1, 6)]
    for serial in serials[:4]:
        first = stack.rest(f"/v1/devices/{serial}/readings?limit=1").json["items"][0]
        assert first["seq"] == 0 and -100 < first["temperature_c"] < 100


def test_every_role_can_use_its_token_and_the_analyst_cannot_write(stack):
    for role in ("ADMIN", "OPERATOR", "APPROVER", "VIEWER", "AUDITOR"):
        assert stack.rest("/v1/devices?limit=1", token=role).status == 200
    assert stack.sql("select current_user", role="ANALYST") == [("coldfleet_analyst",)]
    assert stack.sql("select current_user", role="INGEST") == [("coldfleet_ingest",)]
    assert stack.sql("show default_transaction_read_only", role="ANALYST") == [("on",)]


def test_second_demo_says_that_one_runs_and_changes_nothing(stack):
    parts = ("postgres", "broker", "ingest", "bridge", "signer", "api")
    before = [stack.pid(part) for part in parts]
    run = stack.demo("--detach", "--trackers", "7")
    assert "A demo runs already" in run.stdout
    assert [stack.pid(part) for part in parts] == before
    assert stack.value("select count(*) from fleet.device") == 5


def test_status_tells_which_part_is_gone(own_stack):
    assert own_stack.demo("status").returncode == 0
    own_stack.kill("ingest")
    run = own_stack.demo("status", check=False)
    assert run.returncode == 3
    assert "ingest     not running" in run.stdout and "api        running" in run.stdout
    own_stack.start("ingest")
    assert own_stack.demo("status").returncode == 0


def test_enrol_refuses_a_serial_that_is_registered_and_keeps_its_certificate(stack):
    certificate = Path(stack.env["COLDFLEET_CERTS"]) / "spare-01.crt"
    before = certificate.read_bytes()
    run = stack.demo("enrol", "spare-01", check=False)
    assert run.returncode == 1 and "spare-01 is registered already" in run.stderr
    assert certificate.read_bytes() == before


def test_down_leaves_no_process_and_no_file_outside_its_folder(folder):
    Stack(folder, "--trackers", "1")
    outside = settings(folder)["RUN_DIR"], settings(folder)["PG_DATA"]
    assert len(processes_of(folder, *outside)) > 5
    subprocess.run([DEMO, "--dir", folder, "down"], check=True)
    assert processes_of(folder, *outside) == []
    assert not any(Path(place).exists() for place in outside)
    assert sorted(entry.name for entry in folder.iterdir()) == [".coldfleet-demo", "lock", "log"]


def test_down_ends_all_after_the_starter_was_killed_at_any_moment(folder):
    for part in ("postgres", "broker", "ingest", "bridge", "signer", "api"):
        starter = foreground(folder)
        wait_for((folder / "run" / f"{part}.pid").exists, 60, f"{part} to start")
        starter.kill()
        starter.communicate()
        outside = settings(folder)["RUN_DIR"], settings(folder)["PG_DATA"]
        assert processes_of(folder, *outside) != []
        subprocess.run([DEMO, "--dir", folder, "down"], check=True)
        # What the killed script itself was running (psql, sqitch) ends by itself once the database is gone.
        wait_for(lambda: not processes_of(folder, *outside), 20, "everything to end")


def test_ctrl_c_ends_everything(folder):
    demo = foreground(folder, start_new_session=True)
    for line in demo.stdout:
        if "Ctrl-C ends it all" in line:
            break
    outside = settings(folder)["RUN_DIR"], settings(folder)["PG_DATA"]
    os.killpg(demo.pid, signal.SIGINT)  # what a terminal does
    said, _ = demo.communicate(timeout=60)
    assert demo.returncode == 0, said
    assert processes_of(folder, *outside) == []


def test_demo_starts_again_over_the_remains_of_one_that_was_killed_whole(folder):
    first = Stack(folder)
    for part in ("api", "signer", "bridge", "ingest", "broker", "postgres"):
        first.kill(part)
    second = Stack(folder)
    assert second.rest("/readyz", token=None).status == 200
    assert not Path(first.env["COLDFLEET_DB_OWNER"].split("host=")[1].split("&")[0]).exists()


def test_down_signals_nobody_whose_pid_was_only_reused(folder):
    stack = Stack(folder)
    bystander = subprocess.Popen(["sleep", "600"])
    try:
        recorded = (folder / "run" / "api.pid").read_text().split()
        stack.stop("api")
        (folder / "run" / "api.pid").write_text(f"{bystander.pid} {recorded[1]} {recorded[2]}\n")
        stack.down()
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_folder_with_other_things_in_it_is_refused_and_left_alone(tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    run = subprocess.run([DEMO, "--detach", "--dir", tmp_path], capture_output=True, text=True)
    assert run.returncode == 1 and "was not made by ops/demo" in run.stderr
    assert [entry.name for entry in tmp_path.iterdir()] == ["letter.txt"]


@pytest.mark.parametrize("words, complaint", [
    (["--trackers", "many"], "--trackers many: expected a number"),
    (["--interval", "0"], "--interval 0: expected whole seconds"),
    (["--backfill", "soon"], "--backfill soon: expected a duration"),
    (["--colour", "blue"], "unknown option --colour"),
    (["--dir"], "--dir needs a value"),
    (["explode"], "unknown command explode"),
])
def test_wrong_words_are_answered_with_what_was_expected(words, complaint):
    run = subprocess.run([DEMO, *words], capture_output=True, text=True)
    assert run.returncode == 1 and complaint in run.stderr


def test_example_configuration_is_what_the_daemons_print():
    printed = [subprocess.run([BIN / name, "--help-config"], capture_output=True, text=True, check=True).stdout
               for name in ("coldfleet-ingest", "coldfleet-bridge", "coldfleet-signer", "coldfleet-notify", "coldfleet-api")]
    assert (ROOT / "ops" / "coldfleet.ini.example").read_text().endswith("\n".join(["", *printed]))


def test_demo_does_not_mind_where_it_is_called_from(folder, tmp_path):
    run = subprocess.run([DEMO, "--detach", "--trackers", "0", "--dir", "demo"], cwd=tmp_path, capture_output=True, text=True,
                         env={**os.environ, "COLDFLEET_PRESET": PRESET})
    assert run.returncode == 0, run.stderr
    assert (folder / "env").exists()
