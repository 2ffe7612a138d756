# SPDX-License-Identifier: Apache-2.0
"""The signer believes nobody: what somebody with all rights in the database forged is not signed, a trail that was altered
gets no checkpoint, and keys that others could read are not taken."""

import subprocess

import pytest

from commands import Commands
from stack import BIN, wait_for


@pytest.fixture(scope="module")
def commands(stack):
    return Commands(stack)


def forge(stack, *statements):
    """With all rights, past every trigger."""
    with stack.connect() as db:
        db.execute("SET session_replication_role = replica")
        for statement, params in statements:
            db.execute(statement, params)


def released(command):
    """What makes a command look approved and next, whatever it is."""
    return [("UPDATE command.request SET state = 'active' WHERE request_id = (SELECT request_id FROM command.command "
             "WHERE command_id = %s)", [command]),
            ("UPDATE command.command SET state = 'approved', place = 'front' WHERE command_id = %s", [command]),
            ("NOTIFY command_sign", None)]


def assert_refused(commands, command, why):
    shown = commands.wait(command, "refused", "signed", "sent", "waiting")
    assert shown["state"] == "refused" and why in shown["detail"]
    assert commands.stack.value("SELECT count(*) FROM command.message WHERE command_id = %s", [command]) == 0


def test_command_that_the_database_calls_approved_though_nobody_did_is_not_signed(stack, commands):
    command = commands.ask("spare-01", "disable", mode="halt")
    forge(stack, *released(command))
    assert_refused(commands, command, "nobody approved it")


@pytest.mark.parametrize("table, column, value, why", [
    ("request", "arguments", '{"mode": "radio-off"}', "arguments is not the request's"),
    ("request", "expires_at", "2099-01-01T00:00:00Z", "expires_at is not the request's"),
    ("command", "operation", "enable", "operation is not the request's")])
def test_request_that_was_changed_behind_its_approval_is_not_signed(stack, commands, table, column, value, why):
    command = commands.ask("spare-02", "disable", mode="halt")
    stack.stop("signer")
    commands.approve(command)
    forge(stack, (f"UPDATE command.{table} SET {column} = %s WHERE request_id = (SELECT request_id FROM command.command "
                  "WHERE command_id = %s)", [value, command]))
    stack.start("signer")
    assert_refused(commands, command, why)


def test_command_for_a_device_that_the_request_did_not_name_is_not_signed(stack, commands):
    command = commands.ask("spare-03", "disable", mode="halt")
    stack.stop("signer")
    commands.approve(command)
    other = "(SELECT device_id FROM fleet.device WHERE serial = 'spare-04')"
    forge(stack, ("UPDATE command.command SET device_id = " + other + " WHERE command_id = %s", [command]),
          ("INSERT INTO command.device SELECT " + other + " ON CONFLICT DO NOTHING", None))
    stack.start("signer")
    assert_refused(commands, command, "not among those of the request")


def test_commands_whose_devices_the_database_does_not_name_are_refused_one_by_one(stack, commands):
    """Of lists behind a hash that nothing in the database has: the signer asks once for each, and goes on with the others."""
    stack.stop("signer")
    asked = [commands.ask(serial, "locate") for serial in ("spare-04", "spare-05")]
    other = commands.ask("spare-01", "locate")
    for command in asked:
        forge(stack, ("WITH c AS (SELECT r.request_id, convert_to((convert_from(r.canonical, 'UTF8')::jsonb - 'serials' || jsonb_build_object('serials_sha256', "
                      "encode(sha256(r.canonical), 'hex')))::text, 'UTF8') AS canonical FROM command.request AS r JOIN command.command AS x USING (request_id) "
                      "WHERE x.command_id = %s) UPDATE command.request AS r SET canonical = c.canonical, request_sha256 = sha256(c.canonical) FROM c "
                      "WHERE r.request_id = c.request_id", [command]))
    stack.start("signer")
    for command in asked:
        assert_refused(commands, command, "is not among those of the request")
    assert commands.wait(other, "signed", "sent", "waiting", "refused")["state"] != "refused"


def test_signer_killed_at_any_moment_signs_each_command_once(stack, commands):
    orders = []
    for _ in range(10):
        orders.append(commands.order("spare-05", "locate"))
        stack.kill("signer")
        stack.start("signer")
    for command in orders:
        # The device is away: what is on its way comes back as undeliverable, and can be cancelled then.
        wait_for(lambda c=command: stack.rest(f"/v1/commands/{c}:cancel", "operator", "POST", {"reason": "a test"}).status == 200,
                 20, "it to be cancelled")
    assert {commands.state(command) for command in orders} == {"cancelled"}
    counters = stack.sql("SELECT m.counter FROM command.message AS m JOIN command.command USING (command_id) JOIN fleet.device "
                         "USING (device_id) WHERE serial = 'spare-05' ORDER BY m.signed_at")
    assert counters == sorted(counters) and len(set(counters)) == len(counters)


def test_altered_trail_gets_no_checkpoint(own_stack):
    stack = own_stack
    lines = stack.dir / "log" / "audit-checkpoints"
    wait_for(lambda: lines.read_text().count("\n") >= 1, 30, "the first checkpoint")
    stack.stop("signer")
    assert stack.rest("/v1/groups", "admin", "POST", {"name": "honest"}).status == 201
    forge(stack, ("UPDATE audit.entry SET canonical = overlay(canonical PLACING convert_to('HONEST', 'UTF8') FROM "
                  "position(convert_to('honest', 'UTF8') IN canonical)) WHERE number = (SELECT max(number) FROM audit.entry)", None))
    before = lines.read_text()
    stack.start("signer")
    wait_for(lambda: "THE AUDIT TRAIL DOES NOT VERIFY" in stack.log("signer"), 20, "the signer to say so")
    assert ": altered; its bytes do not give its hash" in stack.log("signer")
    assert stack.metrics("signer")["coldfleet_signer_chain_broken"] == 1
    assert lines.read_text() == before


# Keys


def keys(*words):
    return subprocess.run([BIN / "coldfleet-keys", *map(str, words)], capture_output=True, text=True, check=False)


def test_keys_are_made_once_shown_and_listed(tmp_path):
    for name in ("old", "new"):
        assert keys("make", tmp_path / f"{name}.key").returncode == 0
        (tmp_path / f"{name}.pub").write_text(keys("show", tmp_path / f"{name}.key").stdout)
    again = keys("make", tmp_path / "old.key")
    assert again.returncode == 1 and "exists already" in again.stderr
    assert keys("trust", 2, tmp_path / "list", tmp_path / "old.pub", tmp_path / "new.pub").returncode == 0
    rotated = keys("rotate", tmp_path / "list", tmp_path / "old.key", tmp_path / "new.key")
    assert rotated.returncode == 0 and len(rotated.stdout) > 300
    (tmp_path / "old.key").chmod(0o644)
    for words in (("show", tmp_path / "old.key"), ("rotate", tmp_path / "list", tmp_path / "old.key", tmp_path / "new.key")):
        refused = keys(*words)
        assert refused.returncode == 1 and "lets others in" in refused.stderr
    assert keys("dance").returncode == 2


def test_signer_does_not_start_with_a_key_that_others_can_read(stack):
    key = stack.dir / "secrets" / "command.key"
    stack.stop("signer")
    key.chmod(0o640)
    run = subprocess.run([BIN / "coldfleet-signer", "--config", stack.dir / "coldfleet.ini"], capture_output=True, text=True,
                         timeout=20, check=False)
    key.chmod(0o600)
    assert run.returncode == 2 and "expected 0600 or less" in run.stderr
    stack.start("signer")
