# SPDX-License-Identifier: Apache-2.0
"""coldfleetctl against a running coldfleet: what a person sees, what a script gets, and which status says what went
wrong: no server, no trust, no right, no such thing, a connection that breaks."""

import contextlib
import json
import os
import pty
import re
import select
import socket
import subprocess
import threading
import time
from datetime import datetime, timedelta, timezone
from urllib.parse import urlsplit

import pytest

from api_process import api_processes, certificate, free_port
from device import Device
from stack import BIN, PATIENCE, ROOT, wait_for

CTL = BIN / "coldfleetctl"
FAILED, USAGE, NOT_FOUND, NOT_ALLOWED, CONFLICT, UNREACHABLE = range(1, 7)


@pytest.fixture
def ctl(stack, tmp_path):
    """Runs coldfleetctl with the token of a role. Keywords in capitals are environment variables; None takes one away."""

    def run(*words, token="VIEWER", status=0, stdin=None, **environ):
        env = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(tmp_path),
               "COLDFLEET_API": stack.env["COLDFLEET_API"], "COLDFLEET_TOKEN": stack.env.get(f"COLDFLEET_TOKEN_{token}", token)}
        env = {k: str(v) for k, v in {**env, **environ}.items() if v is not None}
        done = subprocess.run([CTL, *map(str, words)], capture_output=True, text=True, env=env, input=stdin,
                              timeout=60 * PATIENCE)
        assert done.returncode == status, f"{words}: {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        assert "Sanitizer" not in done.stderr
        return done

    return run


@contextlib.contextmanager
def relay(to, cut):
    """A TCP relay to the API's port. `cut(n)` says after how many bytes of answers the n-th connection is broken; None:
    never. Gives its port and the list of connections so far."""
    seen = []
    ended = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(client, left):
        with client, socket.create_connection(("127.0.0.1", to)) as server:
            while not ended.is_set():
                ready = select.select([client, server], [], [], 0.2)[0]
                for s in ready:
                    data = s.recv(65536)
                    if not data or (s is server and left is not None and left <= 0):
                        return
                    if s is server and left is not None:
                        data, left = data[:left], left - len(data)
                    (client if s is server else server).sendall(data)
                    if left is not None and left <= 0:
                        return

    def accept():
        with contextlib.suppress(OSError):
            while True:
                client = listener.accept()[0]
                seen.append(client)
                threading.Thread(target=serve, args=(client, cut(len(seen))), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1], seen
    finally:
        ended.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def api_port(stack):
    return urlsplit(stack.env["COLDFLEET_API"]).port


# What is shown


def test_devices_are_a_table_for_people_and_the_bytes_of_the_api_for_scripts(stack, ctl):
    lines = ctl("devices", "list").stdout.splitlines()
    assert lines[0].split()[:3] == ["SERIAL", "STATE", "MODEL"]
    assert [line.split()[0] for line in lines[1:]] == [r[0] for r in stack.sql("SELECT serial FROM fleet.device ORDER BY serial")]
    assert ctl("devices", "list", "--json").stdout.encode() == stack.rest("/v1/devices").body + b"\n"
    assert ctl("devices", "show", "spare-01", "--json").stdout.encode() == stack.rest("/v1/devices/spare-01").body + b"\n"
    assert re.search(r"^serial: +spare-01$", ctl("devices", "show", "spare-01").stdout, re.MULTILINE)


def test_limit_and_all_follow_the_pages(stack, ctl):
    stack.sql("SELECT fleet.register_device('page-' || lpad(n::text, 4, '0'), 'Acme', 'CT-1', 'B') FROM generate_series(1, 1205) AS n")
    try:
        done = ctl("devices", "list", "--limit", 1100)
        assert len(done.stdout.splitlines()) == 1101 and "--all" in done.stderr
        done = ctl("devices", "list", "--all")
        serials = [line.split()[0] for line in done.stdout.splitlines() if not line.startswith("SERIAL")]
        assert serials == [r[0] for r in stack.sql("SELECT serial FROM fleet.device ORDER BY serial")]
        assert done.stderr == ""
        pages = [json.loads(line) for line in ctl("devices", "list", "--all", "--json").stdout.splitlines()]
        assert [item["serial"] for page in pages for item in page["items"]] == serials
    finally:
        stack.sql("DELETE FROM fleet.device WHERE serial LIKE 'page-%%'")


@pytest.fixture
def measured(stack):
    """A device with 300 readings, one a minute, the last one a minute ago."""
    start = datetime.now(timezone.utc).replace(microsecond=0) - timedelta(minutes=300)
    if stack.value("SELECT count(*) FROM fleet.device WHERE serial = 'ctl-1'") == 0:
        stack.sql("SELECT fleet.register_device('ctl-1', 'Acme', 'CT-1', 'B')")
        stack.sql("SELECT telemetry.ensure_partition(%s + n * interval '6 hours') FROM generate_series(0, 1) AS n", [start])
        stack.sql("""INSERT INTO telemetry.reading (ts, received_at, device_id, seq, epoch, probe, temperature_c, extra)
                     SELECT %s + n * interval '1 minute', now(), device_id, n, 0, 0, 2 + n / 100.0,
                         jsonb_build_object('note', E'\\x1b[31mred')
                     FROM generate_series(0, 299) AS n, fleet.device WHERE serial = 'ctl-1'""", [start])
    return "ctl-1"


def test_readings_as_table_file_and_chart(stack, ctl, measured):
    table = ctl("readings", measured, "--all").stdout.splitlines()
    assert len(table) == 301 and table[0].split()[:4] == ["MEASURED", "PROBE", "SEQ", "°C"]
    lines = ctl("readings", measured, "--format", "ndjson").stdout.splitlines()
    assert [json.loads(line)["seq"] for line in lines] == list(range(300))
    lines = ctl("readings", measured, "--format", "csv").stdout.splitlines()
    assert len(lines) == 301 and lines[0].startswith("ts,received_at,probe")
    assert "comes whole" in ctl("readings", measured, "--format", "csv", "--limit", 5, status=USAGE).stderr
    hours = ctl("readings", measured, "--bucket", "1h").stdout.splitlines()
    assert hours[0].split()[:3] == ["FROM", "PROBE", "SAMPLES"] and sum(int(line.split()[2]) for line in hours[1:]) == 300
    assert "300 values" not in ctl("readings", measured, "--bucket", "1h", "--chart").stdout
    path = f"/v1/devices/{measured}/readings?limit=7"
    assert ctl("readings", measured, "--limit", 7, "--format", "json").stdout.encode() == stack.rest(path).body + b"\n"
    chart = ctl("readings", measured, "--all", "--chart").stdout
    assert "temperature_c, probe 0: 2 to 4.99, 300 values" in chart and "█" in chart
    assert "█" not in ctl("readings", measured, "--all", "--chart", LANG="C").stdout


def test_times_may_be_relative(ctl, measured):
    count = len(ctl("readings", measured, "--from", "-1h", "--format", "ndjson").stdout.splitlines())
    assert count in (59, 60)
    assert ctl("readings", measured, "--to", "-30d").stdout == ""
    assert "2026-13-01" in ctl("readings", measured, "--from", "2026-13-01", status=USAGE).stderr


def test_what_a_device_says_cannot_steer_the_terminal(ctl, measured):
    assert "\x1b" not in ctl("readings", measured, "--limit", 3).stdout
    assert "[31mred" in ctl("readings", measured, "--limit", 3).stdout


def test_on_a_terminal_lines_fit_its_width(stack, measured):
    main, side = pty.openpty()
    try:
        import fcntl
        import struct
        import termios
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 50, 0, 0))
        env = {"COLDFLEET_API": stack.env["COLDFLEET_API"], "COLDFLEET_TOKEN": stack.env["COLDFLEET_TOKEN_VIEWER"],
               "LANG": "C.UTF-8", "TERM": "xterm"}
        assert subprocess.run([CTL, "readings", measured, "--limit", "5"], stdout=side, stderr=subprocess.DEVNULL, env=env,
                              timeout=30 * PATIENCE).returncode == 0
        shown = os.read(main, 65536).decode().replace("\r", "")
    finally:
        os.close(main)
        os.close(side)
    assert shown.startswith("\x1b[1m")
    lines = re.sub(r"\x1b\[\d*m", "", shown).splitlines()
    assert len(lines) == 6 and max(map(len, lines)) <= 50 and "…" in lines[1]


def test_gaps_and_quarantine_are_lists_too(stack, ctl, measured):
    stack.sql("""INSERT INTO telemetry.gap (device_id, epoch, seq_from, seq_to, missing, lost, first_seen)
                 SELECT device_id, 0, 10, 19, '{[10,20)}', '{}', now() FROM fleet.device WHERE serial = %s ON CONFLICT DO NOTHING""", [measured])
    lines = ctl("gaps", measured).stdout.splitlines()
    assert lines[0].split()[:4] == ["EPOCH", "FROM", "TO", "MISSING"] and lines[1].split()[:4] == ["0", "10", "19", "10"]
    assert ctl("gaps", measured, "--state", "closed").stderr == "Nothing matches.\n"
    wait_for(lambda: measured in ctl("devices", "export", "--incomplete", "true").stdout, 30, "the sweep that sees who misses samples")
    assert measured in ctl("devices", "list", "--incomplete", "true", "--all").stdout
    assert measured not in ctl("devices", "list", "--incomplete", "false", "--all").stdout
    assert ctl("quarantine", "list", "--reason", "clock").stderr == "Nothing matches.\n"
    assert "422" in ctl("quarantine", "list", "--reason", "nonsense", status=FAILED).stderr
    ctl("quarantine", "show", "999999", status=NOT_FOUND)


def test_answer_that_streams_and_breaks_off_is_an_error_not_a_short_file(stack, ctl, measured):
    with relay(api_port(stack), lambda n: 1500) as (port, seen):
        done = ctl("readings", measured, "--format", "csv", "--api", f"http://127.0.0.1:{port}", status=UNREACHABLE)
        assert "broke off" in done.stderr and 0 < len(done.stdout.splitlines()) < 301 and len(seen) == 1


def test_filters_and_sort_of_devices(stack, ctl, measured):
    def serials(*options):
        return [line.split()[0] for line in ctl("devices", "list", *options).stdout.splitlines()[1:]]

    assert serials("--q", "spare-0", "--sort", "-serial", "--limit", 2) == ["spare-05", "spare-04"]
    assert measured in serials("--model", "CT-1") and "spare-01" not in serials("--model", "CT-1")
    assert serials("--silent-for", "1h30m", "--battery-below", "5") == []
    assert "--sort: expected serial|" in ctl("devices", "list", "--sort", "age", status=USAGE).stderr
    assert "422 invalid: bbox" in ctl("devices", "list", "--bbox", "1,2,3", status=FAILED).stderr


def test_export_writes_every_device_of_the_filters(stack, ctl):
    lines = ctl("devices", "export", "--format", "csv", "--q", "spare-").stdout.splitlines()
    assert lines[0].startswith("serial,state,") and [line.split(",")[0] for line in lines[1:]] == [f"spare-0{n}" for n in range(1, 6)]
    lines = ctl("devices", "export", "--format", "ndjson").stdout.splitlines()
    assert [json.loads(line)["serial"] for line in lines] == [r[0] for r in stack.sql("SELECT serial FROM fleet.device ORDER BY serial")]


def test_fleet_is_counted_on_one_page(stack, ctl):
    # The counts are as they were a moment ago, so the devices of the stack may still be missing.
    wait_for(lambda: json.loads(ctl("fleet", "--json").stdout)["total"] > 0, 60, "the fleet to be counted anew")
    page = ctl("fleet").stdout
    assert re.match(r"[1-9]\d* devices, counted 20", page) and "\n  active " in page and "█" in page and "\nModel\n" in page
    assert "█" not in ctl("fleet", LANG="C").stdout


# What changes something


def shown(text, name):
    return re.search(rf"^ *{name}: +(.*)$", text, re.MULTILINE)[1]


def test_device_is_registered_changed_and_decommissioned(stack, ctl):
    make = ("devices", "create", "new-1", "model.manufacturer=Acme", "model.name=CT-1", "module.imei=490154203237518", "--reason", "bought")
    assert shown(ctl(*make, token="OPERATOR").stdout, "imei") == "490154203237518"
    assert "409 conflict" in ctl(*make, token="OPERATOR", status=CONFLICT).stderr
    assert "403 forbidden" in ctl(*make, token="VIEWER", status=NOT_ALLOWED).stderr
    changed = ctl("devices", "set", "new-1", "sim.iccid=8988211000000000011", "state=disabled", "--reason", "why not", token="OPERATOR").stdout
    assert shown(changed, "state") == "disabled" and shown(changed, "iccid") == "8988211000000000011"
    assert shown(ctl("devices", "set", "new-1", "sim=", token="OPERATOR").stdout, "sim") == "-"
    assert json.loads(ctl("devices", "decommission", "new-1", "--reason", "broken", "--json", token="OPERATOR").stdout)["state"] == "decommissioned"
    assert "422 invalid" in ctl("devices", "decommission", "new-1", token="OPERATOR", status=FAILED).stderr
    assert "409 conflict" in ctl("devices", "set", "new-1", "state=active", token="OPERATOR", status=CONFLICT).stderr


def test_change_of_what_was_changed_meanwhile_is_a_conflict(ctl):
    etag = re.search(r"^ETag: (.*)$", ctl("devices", "show", "spare-02").stderr, re.MULTILINE)[1]
    change = ("devices", "set", "spare-02", "--if-match", etag)
    ctl(*change, "hardware_revision=C", token="OPERATOR")
    assert "412 " in ctl(*change, "hardware_revision=D", token="OPERATOR", status=CONFLICT).stderr
    assert shown(ctl("devices", "show", "spare-02").stdout, "hardware_revision") == "C"


def test_import_shows_progress_and_names_file_and_line_of_what_was_refused(stack, ctl, tmp_path):
    rows = tmp_path / "rows.csv"
    rows.write_text("serial,manufacturer,model,imei\n" + "".join(f"x-imp-{n:04},Acme,CT-1,\n" for n in range(700)) +
                    "x-imp-bad,Acme,CT-1,123\nx-imp-0001,Acme,CT-2,\n")
    done = ctl("devices", "import", rows, "--reason", "bought", token="OPERATOR", status=FAILED)
    assert re.search(r"^702 of 702(, \d+ rows/s)?$", done.stderr, re.MULTILINE) and "2 of 702 rows were refused" in done.stderr
    assert re.search(rf"^{rows}:702: x-imp-bad: .*imei", done.stderr, re.MULTILINE)
    assert re.search(rf"^{rows}:703: x-imp-0001: .*model", done.stderr, re.MULTILINE)
    assert shown(done.stdout, "succeeded") == "700" and stack.value("SELECT count(*) FROM fleet.device WHERE serial LIKE 'x-imp-%%'") == 700
    number = shown(done.stdout, "id")
    assert shown(ctl("operations", "show", number).stdout, "state") == "done"
    assert len(ctl("operations", "rows", number, "--result", "failed").stdout.splitlines()) == 3


def test_import_tells_how_fast_it_is_and_how_long_it_takes(stack, ctl, tmp_path):
    rows = tmp_path / "many.csv"
    rows.write_text("serial,manufacturer,model\n" + "".join(f"x-fast-{n:05},Acme,CT-1\n" for n in range(12000)))
    began = time.monotonic()
    done = ctl("devices", "import", rows, token="OPERATOR")
    took = time.monotonic() - began
    told = [(int(n), int(speed), left) for n, speed, left in
            re.findall(r"^(\d+) of 12000, (\d+) rows/s(?:, (\d+) s left)?$", done.stderr, re.MULTILINE)]
    assert told[-1][0] == 12000 and told[-1][2] == "", done.stderr
    assert told[-1][1] > 6000 / took, (took, done.stderr)


def test_import_of_lines_from_standard_input_need_not_be_waited_for(stack, ctl):
    line = '{"serial":"x-imp-stdin","manufacturer":"Acme","model":"CT-1"}\n'
    done = ctl("devices", "import", "-", "--no-wait", "--json", token="OPERATOR", stdin=line)
    number = json.loads(done.stdout)["id"]
    wait_for(lambda: json.loads(ctl("operations", "show", number, "--json").stdout)["state"] == "done", 20, "the import to be done")
    assert ctl("devices", "show", "x-imp-stdin")
    assert "No such file" in ctl("devices", "import", "/none", token="OPERATOR", status=USAGE).stderr
    assert "422" in ctl("devices", "import", "-", "--format", "csv", token="OPERATOR", stdin="nonsense\n1\n", status=FAILED).stderr


def test_quarantined_message_is_shown_and_read_anew(stack, ctl):
    number = stack.value("""INSERT INTO telemetry.quarantine (first_received_at, last_received_at, seen, digest, reason, topic, payload)
                            VALUES (now(), now(), 1, sha256('ctl'), 'syntax', 'cf/v1/spare-03/telemetry', '[{') RETURNING id""")
    assert "syntax" in ctl("quarantine", "list").stdout
    assert shown(ctl("quarantine", "show", number).stdout, "payload_base64") == "W3s="
    ctl("quarantine", "replay", number, token="VIEWER", status=NOT_ALLOWED)
    assert shown(ctl("quarantine", "replay", number, token="OPERATOR").stdout, "state") == "waiting"
    wait_for(lambda: shown(ctl("quarantine", "show", number).stdout, "replayed_at") != "-", 20, "the message to be read anew")
    ctl("quarantine", "replay", "999999", token="OPERATOR", status=NOT_FOUND)


def test_configuration_is_merged_and_keeps_its_versions(stack, ctl):
    change = ("config", "set", "spare-04")
    ctl(*change, "interval_s:=300", "upload.at=noon", "--reason", "first", token="ADMIN")
    ctl(*change, "upload.every_s:=3600", "interval_s=", token="ADMIN")
    wanted = json.loads(ctl("config", "get", "spare-04", "--json").stdout)["desired"]
    assert wanted["config"] == {"upload": {"at": "noon", "every_s": 3600}} and wanted["version"] == 2
    ctl(*change, "a=b", "--replace", token="ADMIN")
    assert json.loads(ctl("config", "get", "spare-04", "--json").stdout)["desired"]["config"] == {"a": "b"}
    history = ctl("config", "history", "spare-04").stdout.splitlines()
    assert [line.split()[0] for line in history] == ["VERSION", "3", "2", "1"] and "first" in history[3]
    ctl(*change, "a=c", token="OPERATOR", status=NOT_ALLOWED)


def test_groups_are_made_filled_and_deleted(stack, ctl):
    number = shown(ctl("groups", "create", "ctl group", "description=for a test", token="OPERATOR").stdout, "id")
    ctl("groups", "add", number, "spare-01", token="OPERATOR")
    ctl("groups", "add", number, "spare-02", "--reason", "both", token="OPERATOR")
    ctl("groups", "remove", number, "spare-01", token="OPERATOR")
    assert [line.split()[0] for line in ctl("devices", "list", "--group", "ctl group").stdout.splitlines()[1:]] == ["spare-02"]
    ctl("groups", "set", number, "name=ctl team", token="OPERATOR")
    assert "ctl team" in ctl("groups", "list").stdout and shown(ctl("groups", "show", number).stdout, "members") == "1"
    made = ctl("groups", "create", "dynamic", "filter.q=spare-", "filter.state=active", token="OPERATOR").stdout
    assert shown(made, "q") == "spare-"
    assert len(ctl("devices", "list", "--group", "dynamic").stdout.splitlines()) > 1
    ctl("groups", "delete", number, token="OPERATOR")
    ctl("groups", "show", number, status=NOT_FOUND)


def test_tags_and_the_history_of_a_device(stack, ctl):
    ctl("devices", "tag", "spare-05", "site:lagos", "cold", "--reason", "moved", token="OPERATOR")
    assert [line.split()[0] for line in ctl("devices", "list", "--tag", "cold,site:lagos").stdout.splitlines()[1:]] == ["spare-05"]
    entry = next(line for line in ctl("devices", "history", "spare-05").stdout.splitlines() if "tags" in line)
    assert "cold,site:lagos" in entry and "moved" in entry and "demo operator" in entry
    ctl("devices", "tag", "spare-05", token="OPERATOR")
    assert ctl("devices", "list", "--tag", "cold").stderr == "Nothing matches.\n"


def test_token_is_shown_once_works_and_ends(stack, ctl):
    made = ctl("tokens", "create", "ctl test", "viewer", "--expires", "+1d", "--reason", "a test", token="ADMIN").stdout
    token, number = shown(made, "token"), shown(made, "id")
    assert token.startswith("cf_")
    assert "spare-01" in ctl("devices", "list", token=token).stdout
    listed = ctl("tokens", "list", token="ADMIN").stdout
    assert "ctl test" in listed and "cf_" not in listed
    done = ctl("tokens", "revoke", number, "--reason", "over", token="ADMIN")
    assert (done.stdout, done.stderr) == ("", "Done.\n")
    ctl("devices", "list", token=token, status=NOT_ALLOWED)
    ctl("tokens", "revoke", "999999", token="ADMIN", status=NOT_FOUND)


def test_post_that_lost_its_answer_is_repeated_and_has_its_effect_once(stack, ctl):
    with relay(api_port(stack), lambda n: 0 if n == 1 else None) as (port, seen):
        via = ("--api", f"http://127.0.0.1:{port}")
        made = ctl("devices", "create", "once-1", "model.manufacturer=Acme", "model.name=CT-1", *via, token="OPERATOR").stdout
        assert shown(made, "serial") == "once-1" and len(seen) == 2


def test_token_that_was_lost_with_its_answer_is_said_to_be(stack, ctl):
    with relay(api_port(stack), lambda n: 0 if n == 1 else None) as (port, seen):
        done = ctl("tokens", "create", "lost", "viewer", "--api", f"http://127.0.0.1:{port}", token="ADMIN", status=FAILED)
        number = stack.value("SELECT token_id FROM fleet.token WHERE name = 'lost'")
        assert f"revoke {number}, make another" in done.stderr and len(seen) == 2


def test_other_changes_are_not_repeated(stack, ctl):
    with relay(api_port(stack), lambda n: 0) as (port, seen):
        ctl("devices", "set", "spare-03", "hardware_revision=E", "--api", f"http://127.0.0.1:{port}", token="OPERATOR", status=UNREACHABLE)
        assert len(seen) == 1


# How it ends


def test_unknown_device_ends_with_3_and_names_the_request(stack, ctl):
    done = ctl("devices", "show", "nobody", status=NOT_FOUND)
    assert done.stdout == "" and done.stderr.count("\n") == 1
    found = re.fullmatch(r"coldfleetctl: 404 not-found: no device has the serial nobody \(request (\S+)\)\n", done.stderr)
    assert found, done.stderr


@pytest.mark.parametrize("token", ["cf_" + "A" * 43, None], ids=["wrong", "none"])
def test_wrong_token_or_none_ends_with_4_and_is_not_shown(ctl, token):
    done = ctl("devices", "list", COLDFLEET_TOKEN=token, status=NOT_ALLOWED)
    assert done.stderr.startswith("coldfleetctl: 401 unauthorized: ") and "cf_" not in done.stderr


def test_token_comes_from_a_file_that_others_cannot_read(stack, ctl, tmp_path):
    file = tmp_path / "token"
    file.write_text(stack.env["COLDFLEET_TOKEN_VIEWER"] + "\n")
    file.chmod(0o644)
    assert "expected mode 0600" in ctl("devices", "list", "--token-file", file, status=USAGE).stderr
    file.chmod(0o600)
    assert "spare-01" in ctl("devices", "list", "--token-file", file, COLDFLEET_TOKEN="cf_wrong").stdout
    config = tmp_path / ".config" / "coldfleet" / "ctl.ini"
    config.parent.mkdir(parents=True)
    config.write_text(f"[ctl]\napi = {stack.env['COLDFLEET_API']}\ntoken_file = {file}\n")
    assert "spare-01" in ctl("devices", "list", COLDFLEET_TOKEN=None, COLDFLEET_API=None).stdout
    config.write_text("[ctl]\ntokenfile = x\n")
    assert "tokenfile" in ctl("devices", "list", status=USAGE).stderr


def test_server_that_is_down_ends_with_6_at_once(ctl):
    done = ctl("devices", "list", "--api", f"http://127.0.0.1:{free_port()}", status=UNREACHABLE)
    assert "connect" in done.stderr.lower()
    assert "unix:/nowhere" in ctl("health", "--api", "unix:/nowhere", status=UNREACHABLE).stderr


def test_token_does_not_leave_this_machine_in_clear_text(ctl):
    for url in ("http://example.com", "http://localhost.example.com", "http://127.0.0.1.example.com", "http://127.0.0.1@example.com",
                "http://localhost:1@example.com", "ftp://localhost", "localhost:8470"):
        assert "expected https://" in ctl("devices", "list", "--api", url, status=USAGE).stderr


def test_mistakes_on_the_command_line_end_with_2(ctl):
    for words in (["devices"], ["nothing"], [], ["devices", "list", "--limit", "0"], ["devices", "list", "--limit=x"],
                  ["readings"], ["devices", "list", "--timeout", "soon"], ["devices", "list", "--nope"]):
        done = ctl(*words, status=USAGE)
        assert done.stdout == "" and done.stderr.startswith("coldfleetctl: ") and done.stderr.count("\n") == 1


def test_what_the_api_refuses_ends_with_1(ctl):
    assert "422 invalid" in ctl("devices", "show", "x" * 65, status=FAILED).stderr


def test_full_disk_is_no_success(stack):
    env = {"COLDFLEET_API": stack.env["COLDFLEET_API"], "COLDFLEET_TOKEN": stack.env["COLDFLEET_TOKEN_VIEWER"]}
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run([CTL, "devices", "list"], stdout=full, stderr=subprocess.PIPE, text=True, env=env, timeout=30 * PATIENCE)
    assert done.returncode == FAILED and "standard output" in done.stderr


def test_health_needs_no_token_and_says_what_is_down(own_stack):
    env = {"COLDFLEET_API": own_stack.env["COLDFLEET_API"], "LANG": "C.UTF-8"}

    def health():
        return subprocess.run([CTL, "health"], capture_output=True, text=True, env=env, timeout=30 * PATIENCE)

    assert health().returncode == 0
    own_stack.stop("postgres")
    done = wait_for(lambda: (run := health()).returncode == UNREACHABLE and run, 20, "the API to see that PostgreSQL is gone")
    assert done.stdout == "alive: yes\nready: no\n" and "503" in done.stderr


# On the way


def test_https_wants_a_certificate_that_is_trusted_and_names_the_host(stack, ctl, tmp_path):
    trusted, key = certificate(tmp_path, "server")
    other, _ = certificate(tmp_path, "other")
    with api_processes(stack, tmp_path) as make:
        port = make(tls_cert=trusted, tls_key=key, trust=trusted).port
        assert "spare-01" in ctl("devices", "list", "--api", f"https://localhost:{port}", "--ca", trusted).stdout
        for ca in (other, "/etc/ssl/certs/ca-certificates.crt"):
            if os.path.exists(ca):
                done = ctl("devices", "list", "--api", f"https://localhost:{port}", "--ca", ca, status=UNREACHABLE)
                assert "certificate" in done.stderr
        # This machine too, but not in the certificate.
        done = ctl("devices", "list", "--api", f"https://127.0.0.2:{port}", "--ca", trusted, status=UNREACHABLE)
        assert done.stdout == ""
        assert "expected a file" in ctl("devices", "list", "--api", f"https://localhost:{port}", "--ca", "/none", status=USAGE).stderr


def test_answer_that_breaks_off_is_asked_for_again(stack, ctl):
    whole = ctl("devices", "list", "--json").stdout
    for cuts in (0, 5, 60, 200):
        with relay(api_port(stack), lambda n, cuts=cuts: cuts if n <= 2 else None) as (port, seen):
            assert ctl("devices", "list", "--json", "--api", f"http://127.0.0.1:{port}").stdout == whole
            assert len(seen) == 3


def test_answer_that_always_breaks_off_ends_with_6_and_shows_nothing(stack, ctl):
    with relay(api_port(stack), lambda n: 150) as (port, seen):
        done = ctl("devices", "list", "--api", f"http://127.0.0.1:{port}", status=UNREACHABLE)
        assert done.stdout == "" and len(seen) == 4


def test_server_that_never_answers_ends_at_the_timeout(ctl):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        done = ctl("devices", "list", "--timeout", "300ms", "--api", f"http://127.0.0.1:{silent.getsockname()[1]}", status=UNREACHABLE)
        assert "timed out" in done.stderr.lower()


def test_something_else_that_answers_is_not_taken_for_the_api(stack, ctl):
    url = stack.env["COLDFLEET_METRICS_API"].removesuffix("/metrics")
    assert "is this the API?" in ctl("devices", "list", "--api", url, status=NOT_FOUND).stderr


# The shell


def test_bash_completes_commands_options_and_choices(tmp_path):
    def complete(*words):
        script = (f'source {ROOT}/ops/ctl/coldfleetctl.bash; COMP_WORDS=({CTL} "${{@}}"); COMP_CWORD=$#; '
                  f'_coldfleetctl {CTL}; printf "%s\\n" "${{COMPREPLY[@]}}"')
        done = subprocess.run(["bash", "-c", script, "bash", *words], capture_output=True, text=True, check=True, timeout=30)
        return done.stdout.split()

    assert "devices" in complete("dev") and "health" in complete("")
    assert complete("devices", "sh") == ["show"]
    assert "--from" in complete("readings", "S-1", "--f") and "ndjson" in complete("readings", "S-1", "--format", "")


# The live stream


def config_of(stack, serial, number):
    stack.sql("SELECT fleet.announce('config', device_id, jsonb_build_object('version', %s::int, 'actor', E'o\033[31mps')) FROM fleet.device "
              "WHERE serial = %s", [number, serial])


@contextlib.contextmanager
def streaming(stack, *words, **environ):
    """coldfleetctl stream in the background, listening."""
    before = stack.metrics("api")["coldfleet_api_stream_readers"]
    env = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "COLDFLEET_API": stack.env["COLDFLEET_API"],
           "COLDFLEET_TOKEN": stack.env["COLDFLEET_TOKEN_VIEWER"], **environ}
    running = subprocess.Popen([CTL, "stream", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
    try:
        wait_for(lambda: stack.metrics("api")["coldfleet_api_stream_readers"] > before, 20, "coldfleetctl to listen")
        yield running
    finally:
        running.terminate()
        running.communicate(timeout=20 * PATIENCE)


def test_stream_is_a_line_an_event_for_people_and_an_object_a_line_for_scripts(stack):
    with streaming(stack, "--device", "spare-02", "--type", "config") as people, \
            streaming(stack, "--device", "spare-02", "--type", "config", "--json", "--count", "1") as script:
        config_of(stack, "spare-02", 7)
        line = people.stdout.readline()
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ  config +spare-02 .* version=7.*\n", line) and "\033" not in line
        event = json.loads(script.stdout.readline())
        assert (event["type"], event["device"], event["body"]["version"]) == ("config", "spare-02", 7)
        assert script.wait(20 * PATIENCE) == 0


def test_stream_that_breaks_is_taken_up_again_after_the_last_event(stack):
    with relay(api_port(stack), lambda n: 3000 if n < 4 else None) as (port, seen):
        with streaming(stack, "--device", "spare-03", "--type", "config", "--json", COLDFLEET_API=f"http://127.0.0.1:{port}") as running:
            for n in range(40):
                config_of(stack, "spare-03", n)
            got = [json.loads(running.stdout.readline())["body"]["version"] for _ in range(40)]
            assert got == list(range(40)) and len(seen) > 2


def test_stream_ends_with_a_status_when_it_may_not_go_on(stack, ctl):
    ctl("stream", token="cf_unknown", status=NOT_ALLOWED)
    ctl("stream", "--device", "nobody", status=NOT_FOUND)
    ctl("stream", "--count", "0", status=USAGE)
    ctl("stream", status=UNREACHABLE, COLDFLEET_API=f"http://127.0.0.1:{free_port()}")
    done = ctl("stream", "--type", "weather", status=FAILED)
    assert "device.state" in done.stderr


def test_a_rule_of_alarms_for_a_device_is_made_edited_and_deleted(stack, ctl):
    made = json.loads(ctl("rules", "create", "battery", "device=spare-04", "below:=35", "--reason", "cold depot", "--json", token="ADMIN").stdout)
    assert (made["device"], made["below"], made["escalate_after_s"]) == ("spare-04", 35, 86400)
    row = ctl("rules", "list", "--device", "spare-04", "--kind", "battery").stdout.splitlines()[1].split()
    assert (row[0], row[1]) == (str(made["id"]), "battery") and {"spare-04", "35"} < set(row), row
    ctl("rules", "set", made["id"], "below:=40", token="OPERATOR", status=NOT_ALLOWED)
    edited = ctl("rules", "set", made["id"], "below:=40", "escalate_after_s=", token="ADMIN").stdout
    assert re.search(r"^below: +40$", edited, re.M) and re.search(r"^escalate_after_s: +-$", edited, re.M)
    assert "expected of kinds battery and calibration" in ctl("rules", "create", "door", "device=spare-04", "below:=5", token="ADMIN", status=FAILED).stderr
    with Device(stack, "spare-04") as device:
        device.send([{"n": "batt", "u": "%EL", "v": 38}])
    row = wait_for(lambda: re.search(r"^ *\d+ +battery +raised +spare-04", ctl("alarms", "list", "--device", "spare-04").stdout, re.M), 20)
    assert row, "38 % is no alarm by the rule for all devices"
    ctl("rules", "delete", made["id"], "--reason", "moved", token="ADMIN")
    ctl("rules", "show", made["id"], status=NOT_FOUND)
    assert re.search(r"^ *\d+ +battery .*\b20\b", ctl("rules", "list", "--device", "spare-04", "--kind", "battery").stdout, re.M)
    said = [(e["action"], e["reason"]) for e in stack.rest(f"/v1/audit?kind=alarm_rule&id={made['id']}", "ADMIN").json["items"]]
    assert said == [("removed", "moved"), ("changed", None), ("created", "cold depot")]


def test_a_geofenced_shipment_leaves_and_arrives_where_its_tracker_is(stack, ctl):
    for place, north in (("Tema", 5.65), ("Accra", 5.60), ("Kumasi", 6.69)):
        ctl("geofences", "create", place, f"latitude:={north}", "longitude:=-0.2", "radius_m:=500", token="ADMIN")
    assert re.search(r"^ *\d+ +Kumasi +6\.69 +-0\.2 +500", ctl("geofences", "list").stdout, re.M)
    legs = json.dumps([{"origin": "Tema", "destination": "Accra"}, {"origin": "Accra", "destination": "Kumasi"}])
    shipment = json.loads(ctl("shipments", "create", "PO-4712", "--product", "Comirnaty", "--lot", "FX0002", "geofenced:=true", f"legs:={legs}", "--json",
                              token="OPERATOR").stdout)["id"]
    began = int(time.time()) - 3600

    def moment(minutes):
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began + 60 * minutes))

    ctl("shipments", "assign", shipment, "spare-03", "comirnaty-us", "--from", moment(-10), token="OPERATOR")

    def at(minutes, north):
        with Device(stack, "spare-03") as device:
            device.send([{"n": "lat", "u": "lat", "v": north, "bt": began + 60 * minutes}, {"n": "lon", "u": "lon", "v": -0.2}])

    def legs_are(*wanted):
        def now():
            legs = stack.rest(f"/v1/shipments/{shipment}").json["legs"]
            return [tuple(None if leg[k] is None else round((datetime.fromisoformat(leg[k].replace("Z", "+00:00")).timestamp() - began) / 60)
                          for k in ("started_at", "ended_at")) for leg in legs] == list(wanted)
        wait_for(now, 20, f"the legs to be {wanted}")

    at(0, 5.65), at(5, 5.64)
    legs_are((5, None), (None, None))
    at(10, 5.60)
    legs_are((5, 10), (None, None))
    ctl("shipments", "leg", shipment, 2, "--started", moment(12), "--reason", "seen at the gate", token="OPERATOR")
    at(20, 6.69)
    legs_are((5, 10), (12, 20))
    at(8, 5.65), at(25, 5.65)
    wait_for(lambda: len(stack.rest(f"/v1/devices/spare-03/readings?from={moment(0)}&to={moment(26)}").json["items"]) == 6, 20, "all positions to be stored")
    stack.sql("SELECT coldchain.stages_move(array_agg(device_id)) FROM fleet.device WHERE serial = 'spare-03'")
    legs_are((5, 10), (12, 20))
    assert re.search(r"^state: +delivered$", ctl("shipments", "show", shipment).stdout, re.M)
    ctl("shipments", "leg", shipment, 3, "--ended", "now", token="OPERATOR", status=NOT_FOUND)


def test_a_shipment_from_its_making_to_its_report(stack, ctl):
    """What the README has people try: with no id but those that the answers say."""
    made = json.loads(ctl("shipments", "create", "PO-4711", "--product", "Comirnaty", "--lot", "FX0001", "--quantity", "100", "--origin", "Lagos",
                          "--destination", "Ikorodu", "--ignore", "0", "--json", token="OPERATOR").stdout)
    shipment = made["id"]
    assert (made["lots"][0]["number"], made["lots"][0]["quantity"], made["lane"]["origin"], made["ignore_s"]) == ("FX0001", 100, "Lagos", 0)
    ctl("shipments", "assign", shipment, "spare-05", "comirnaty-us", "--interval", "60", token="OPERATOR")
    assert "shipping" in ctl("shipments", "ship", shipment, "--reason", "truck left", token="OPERATOR").stdout
    with Device(stack, "spare-05") as device:
        device.send([{"n": "temp", "u": "Cel", "v": 12.5}])
    row = wait_for(lambda: re.search(r"^ *(\d+) +open +warm +PO-4711 +FX0001 +spare-05 .* 12\.5 ", ctl("excursions", "list", "--shipment", shipment).stdout, re.M), 20)
    shown = ctl("excursions", "show", row[1]).stdout
    assert re.search(r"^kind: +warm$", shown, re.M) and re.search(r"^  - at: +20", shown, re.M) and "{" not in shown
    alarm = re.search(r"^ *(\d+) +excursion +raised +spare-05", ctl("alarms", "list", "--shipment", shipment).stdout, re.M)[1]
    assert "acknowledged" in ctl("alarms", "ack", alarm, "--reason", "box is closed", token="OPERATOR").stdout
    ctl("shipments", "close", shipment, token="OPERATOR", status=CONFLICT)
    ctl("shipments", "deliver", shipment, token="OPERATOR")
    assert "expected it: the field is required" in ctl("shipments", "decide", shipment, "rejected", token="APPROVER", status=FAILED).stderr
    ctl("shipments", "decide", shipment, "rejected", "--reason", "warm", token="OPERATOR", status=NOT_ALLOWED)
    ctl("shipments", "decide", shipment, "rejected", "--reason", "warm", token="APPROVER")
    assert re.search(r"PO-4711 +delivered +Lagos +Ikorodu +1 +1 +1 +rejected", ctl("shipments", "list").stdout)
    assert json.loads(ctl("shipments", "report", shipment, "--json").stdout)["excursions"][0]["max_c"] == 12.5
    assert json.loads(ctl("shipments", "report", shipment, "--format", "json").stdout)["shipment"]["decision"]["reason"] == "warm"
    assert ctl("shipments", "report", shipment, "--format", "html").stdout.startswith("<!doctype html>")
    assert "12.5" in ctl("shipments", "figures", shipment).stdout
    assert json.loads(ctl("shipments", "epcis", shipment).stdout)["epcisBody"]["eventList"][0]["eventID"].startswith("urn:uuid:")
    ctl("shipments", "close", shipment, token="OPERATOR")
    assert "Nothing matches." in ctl("shipments", "list", "--state", "ready").stderr
    ctl("shipments", "show", 4711, status=NOT_FOUND)
    assert "comirnaty-us" in ctl("profiles", "list").stdout and "above 8" in ctl("profiles", "show", "comirnaty-us").stdout
    assert "Comirnaty" in ctl("products", "list").stdout
