# SPDX-License-Identifier: Apache-2.0
"""The audit trail from a change over REST to a verifier at a desk: what is altered, removed, moved, cut off or made anew
is found by the tool that is shipped, and an implementation of its own agrees with what it finds whole."""

import base64
import hashlib
import json
import os
import re
import signal
import subprocess
import threading
from pathlib import Path

import cbor2
import psycopg
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from stack import BIN, PATIENCE, wait_for

NOT_VERIFIED = 5
AAD = b"coldfleet-audit-v1\0"
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def verify(trail, status=0, key=None, checkpoints=None, **environ):
    """Runs coldfleetctl audit verify on the bytes of a trail, without any address or token of an API."""
    words = [BIN / "coldfleetctl", "audit", "verify", "-", "--json"]
    words += ["--key", key] if key else []
    words += ["--checkpoints", checkpoints] if checkpoints else []
    done = subprocess.run(words, input=trail, capture_output=True, env={"PATH": os.environ["PATH"]}, timeout=60 * PATIENCE)
    assert done.returncode == status, f"{done.returncode} {done.stdout} {done.stderr}"
    return json.loads(done.stdout) if status == 0 else done.stderr.decode()


def export(stack, after=0):
    answer = stack.rest(f"/v1/audit:export?after={after}", "AUDITOR")
    assert answer.status == 200 and answer.headers["content-type"] == "application/x-ndjson"
    return answer.body


class Trail:
    """An export of some changes, a copy of the checkpoints that was taken before it, and the public key."""

    def __init__(self, stack, folder):
        self.key = stack.env["COLDFLEET_AUDIT_KEY"]
        head = stack.value("SELECT number FROM audit.head()")
        file = Path(stack.env["COLDFLEET_AUDIT_CHECKPOINTS"])
        wait_for(lambda: file.exists() and signed(file.read_bytes())[-1] >= head, 90, "a checkpoint of what was changed")
        self.checkpoints = folder / "checkpoints"
        self.checkpoints.write_bytes(file.read_bytes())
        self.signed = signed(self.checkpoints.read_bytes())
        self.lines = [line for line in export(stack).splitlines(keepends=True) if line.startswith(b'{"previous"')]

    def verify(self, lines, status=0):
        return verify(b"".join(lines), status, self.key, self.checkpoints)

    def refused(self, lines, what):
        said = self.verify(lines, NOT_VERIFIED)
        assert what in said, said


def signed(checkpoints):
    return [json.loads(line)["number"] for line in checkpoints.splitlines()]


def rehash(lines):
    """The lines chained anew behind the first one's previous hash."""
    previous, made = json.loads(lines[0])["previous"], []
    for line in lines:
        canonical = line[line.index(b'"entry":') + 8:-2]
        value = hashlib.sha256(b"\0" + bytes.fromhex(previous) + canonical).hexdigest()
        made.append(b'{"previous":"%s","hash":"%s","entry":%s}\n' % (previous.encode(), value.encode(), canonical))
        previous = value
    return made


def patch(stack, serial, **body):
    answer = stack.rest(f"/v1/devices/{serial}", "OPERATOR", "PATCH", body, {"If-Match": "*", "Content-Type": "application/json"})
    assert answer.status == 200, answer
    return answer


@pytest.fixture(scope="module")
def trail(stack, tmp_path_factory):
    for n in range(30):
        patch(stack, "spare-01", hardware_revision=f"R{n}", reason=f"round {n}")
    return Trail(stack, tmp_path_factory.mktemp("trail"))


def test_a_change_over_rest_says_who_when_why_and_what_was_before(stack):
    patch(stack, "spare-02", hardware_revision="audit-a", reason="first")
    answer = patch(stack, "spare-02", hardware_revision="audit-b", reason='why "not"')
    found = stack.rest("/v1/audit?device=spare-02&kind=device&limit=1", "AUDITOR").json["items"][0]
    assert found["old"] == {"hardware_revision": "audit-a"} and found["new"] == {"hardware_revision": "audit-b"}
    assert found["reason"] == 'why "not"' and found["request_id"] == answer.headers["x-request-id"]
    assert found["role"] == "coldfleet_api" and found["actor"] == stack.value("SELECT name FROM fleet.token WHERE role = 'operator' LIMIT 1")
    made = stack.rest("/v1/tokens", "ADMIN", "POST", {"name": "audited", "role": "approver", "reason": "new colleague"}).json
    entry = stack.rest(f"/v1/audit?kind=token&id={made['id']}&action=created", "AUDITOR").json["items"][0]
    assert entry["new"]["role"] == "approver" and entry["reason"] == "new colleague" and made["token"] not in str(entry)


def test_filters_and_pages_of_the_trail(stack, trail):
    whole = stack.rest("/v1/audit?limit=1000", "AUDITOR").json["items"]
    numbers = [item["number"] for item in whole]
    assert numbers == sorted(numbers, reverse=True) and whole[0]["hash"] == stack.value(
        "SELECT encode(hash, 'hex') FROM audit.entry WHERE number = %s", [numbers[0]])
    pages, cursor = [], ""
    while cursor is not None:
        page = stack.rest("/v1/audit?device=spare-01&action=changed&limit=7" + (f"&cursor={cursor}" if cursor else ""), "AUDITOR").json
        pages += page["items"]
        cursor = page["next"]
    assert [p["reason"] for p in pages][:30] == [f"round {n}" for n in reversed(range(30))]
    middle = pages[10]["at"]
    assert stack.rest(f"/v1/audit?device=spare-01&since={middle}", "AUDITOR").json["items"][-1]["number"] == pages[10]["number"]
    assert stack.rest(f"/v1/audit?device=spare-01&until={middle}", "AUDITOR").json["items"][0]["number"] == pages[11]["number"]
    assert stack.rest("/v1/audit", "OPERATOR").status == 403


def test_the_export_verifies_with_the_signers_checkpoints(stack, trail):
    found = trail.verify(trail.lines)
    assert found["first"] == 1 and found["last"] == len(trail.lines) and found["start_known"]
    assert found["signed_through"] == trail.signed[-1] and found["checkpoints"] == len(trail.signed)
    both = verify(export(stack), key=trail.key)
    assert both["checkpoints"] > 0, "an export brings the checkpoints along"


def test_another_implementation_agrees(trail):
    previous = bytes(32)
    for number, line in enumerate(trail.lines, 1):
        said = json.loads(line)
        canonical = line[line.index(b'"entry":') + 8:-2]
        assert said["entry"] == json.loads(canonical) and said["entry"]["number"] == number
        assert said["previous"] == previous.hex()
        previous = hashlib.sha256(b"\0" + previous + canonical).digest()
        assert said["hash"] == previous.hex()
    key = serialization.load_pem_public_key(Path(trail.key).read_bytes())
    for line in trail.checkpoints.read_bytes().splitlines():
        protected, unprotected, payload, signature = cbor2.loads(base64.b64decode(json.loads(line)["checkpoint"]))
        assert unprotected == {} and cbor2.loads(protected)[1] == -7
        r, s = (int.from_bytes(part, "big") for part in (signature[:32], signature[32:]))
        key.verify(encode_dss_signature(r, s), cbor2.dumps(["Signature1", protected, AAD, payload]), ec.ECDSA(hashes.SHA256()))
        said = cbor2.loads(payload)
        assert said[2].hex() == json.loads(trail.lines[said[1] - 1])["hash"]


def test_one_altered_byte_is_found(trail):
    n = len(trail.lines) // 2
    altered = trail.lines[n].replace(b'"actor":"', b'"actor":"x', 1)
    trail.refused(trail.lines[:n] + [altered] + trail.lines[n + 1:], f"entry {n + 1}: altered")
    trail.refused(trail.lines[:-1] + [trail.lines[-1][:-1] + b"\0"], f"line {len(trail.lines)}: cut off")
    trail.refused(trail.lines[:n] + [trail.lines[n][:-1] + b"\0 hidden\n"] + trail.lines[n + 1:], f"line {n + 1}: cut off")


def test_a_removed_and_two_swapped_rows_are_found(trail):
    n, lines = len(trail.lines) // 2, trail.lines
    trail.refused(lines[:n] + lines[n + 1:], f"line {n + 1}: entry {n + 1}: missing; entry {n + 2} is in its place")
    trail.refused(lines[:n] + [lines[n + 1], lines[n]] + lines[n + 2:], f"entry {n + 1}: missing")


def test_a_cut_off_end_is_found_by_the_checkpoints_alone(trail):
    cut = trail.lines[:trail.signed[-1] - 1]
    assert verify(b"".join(cut))["last"] == len(cut)
    trail.refused(cut, f"entry {len(cut) + 1}: missing; the trail ends before it")


def test_a_trail_hashed_anew_from_its_middle_is_found_by_the_checkpoints_alone(trail):
    n = trail.signed[-1] - 5
    forged = trail.lines[:n] + rehash([trail.lines[n].replace(b'"reason":"round', b'"reason":"Round', 1), *trail.lines[n + 1:]])
    assert forged[n] != trail.lines[n]
    assert verify(b"".join(forged))["last"] == len(forged)
    trail.refused(forged, f"entry {trail.signed[-1]}: not the one that was signed")


def test_a_forged_checkpoint_is_found(trail, tmp_path):
    mine = ec.generate_private_key(ec.SECP256R1())
    last = json.loads(trail.checkpoints.read_bytes().splitlines()[-1])
    protected, _, payload, _ = cbor2.loads(base64.b64decode(last["checkpoint"]))
    r, s = decode_dss_signature(mine.sign(cbor2.dumps(["Signature1", protected, AAD, payload]), ec.ECDSA(hashes.SHA256())))
    signature = r.to_bytes(32, "big") + min(s, ORDER - s).to_bytes(32, "big")
    last["checkpoint"] = base64.b64encode(cbor2.dumps([protected, {}, payload, signature])).decode()
    forged = tmp_path / "forged"
    forged.write_text(trail.checkpoints.read_text() + json.dumps(last, separators=(",", ":")) + "\n")
    said = verify(b"".join(trail.lines), NOT_VERIFIED, trail.key, forged)
    assert f"checkpoints, line {len(trail.signed) + 1}: the signature is not right" in said


def test_verify_says_what_it_was_not_told(trail, tmp_path):
    missing = subprocess.run([BIN / "coldfleetctl", "audit", "verify", tmp_path / "nothing"], capture_output=True, text=True)
    assert missing.returncode == 2 and "No such file" in missing.stderr
    without = subprocess.run([BIN / "coldfleetctl", "audit", "verify", "-", "--checkpoints", trail.checkpoints], capture_output=True, text=True)
    assert without.returncode == 2 and "--key" in without.stderr
    bare = subprocess.run([BIN / "coldfleetctl", "audit", "verify", "-"], input=b"".join(trail.lines), capture_output=True)
    assert bare.returncode == 0 and b"No --key" in bare.stderr and b"whole, unaltered and in order" in bare.stdout


def test_an_export_goes_on_where_the_one_before_ended(stack, trail):
    last = trail.signed[-1]
    patch(stack, "spare-01", hardware_revision="later")
    rest = export(stack, last)
    words = [BIN / "coldfleetctl", "audit", "verify", "-", "--json", "--after", str(last), "--key", trail.key]
    done = subprocess.run(words, input=rest, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["first"] == last + 1 and said["start_known"] and said["checkpoints"] >= 1


def chain_is_whole(stack, since=0):
    assert stack.value("SELECT count(*) FROM (SELECT *, lag(hash) OVER w AS before, lag(number) OVER w AS last FROM audit.entry "
                       "WHERE number > %s WINDOW w AS (ORDER BY number)) AS e WHERE hash <> sha256('\\x00'::bytea || previous_hash || canonical) "
                       "OR before <> previous_hash OR last <> number - 1", [since]) == 0


def test_writers_at_once_make_one_whole_chain_and_none_waits_in_a_circle(stack):
    writers, rounds = 8, 40
    before = stack.value("SELECT number FROM audit.head()")
    stack.sql("INSERT INTO fleet.device (serial, model_id) SELECT 'audit-' || n, (SELECT min(model_id) FROM fleet.model) "
              "FROM generate_series(1, %s) AS n", [writers])
    wrong = []

    def work(n):
        try:
            with stack.connect() as db:
                for r in range(rounds):
                    with db.transaction():  # rows by rising number, as everybody has to; the head comes last by itself
                        for k in sorted({n, (n + 1 + r) % writers}):
                            db.execute("UPDATE fleet.device SET hardware_revision = %s WHERE serial = %s",
                                       [f"{n}-{r}-{k}", f"audit-{k + 1}"])
        except psycopg.Error as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(writers)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
    chain_is_whole(stack, before)


def test_a_writer_that_dies_with_the_head_in_its_hand_leaves_nothing(stack):
    before = stack.value("SELECT number FROM audit.head()")
    db = stack.connect()
    dead = db.info.backend_pid
    db.execute("BEGIN")
    db.execute("UPDATE fleet.device SET hardware_revision = 'dead' WHERE serial = 'spare-03'")
    db.execute("SET CONSTRAINTS audit.chain IMMEDIATE")
    waiting = threading.Thread(target=stack.sql, args=("UPDATE fleet.device SET hardware_revision = 'alive' WHERE serial = 'spare-04'",))
    waiting.start()
    wait_for(lambda: stack.value("SELECT count(*) FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid))", [dead]), 20,
             "another writer to wait for the head")
    stack.sql("SELECT pg_terminate_backend(%s)", [dead])
    waiting.join(30 * PATIENCE)
    db.close()
    assert not waiting.is_alive()
    assert stack.value("SELECT string_agg(convert_from(canonical, 'UTF8')::jsonb #>> '{new,hardware_revision}', ',') FROM audit.entry "
                       "WHERE number > %s AND kind = 'device'", [before]) == "alive"
    chain_is_whole(stack, before)


def test_what_the_superuser_rewrites_in_the_database_is_found_by_the_checkpoints(stack, trail):
    """He turns the triggers off, alters an old entry and hashes all later ones anew: the database then looks whole."""
    target = trail.signed[-1] - 3
    with stack.connect() as db, db.transaction(force_rollback=True):
        db.execute("SET LOCAL session_replication_role = replica")
        db.execute("UPDATE audit.entry SET canonical = convert_to(replace(convert_from(canonical, 'UTF8'), 'round', 'ROUND'), 'UTF8') "
                   "WHERE number = %s", [target])
        hash_ = db.execute("SELECT previous_hash FROM audit.entry WHERE number = %s", [target]).fetchone()[0]
        for number, canonical in db.execute("SELECT number, canonical FROM audit.entry WHERE number >= %s ORDER BY 1", [target]).fetchall():
            previous, hash_ = hash_, hashlib.sha256(b"\0" + hash_ + canonical).digest()
            db.execute("UPDATE audit.entry SET previous_hash = %s, hash = %s WHERE number = %s", [previous, hash_, number])
        db.execute("SELECT set_config('coldfleet.scope', '*', true)")
        body = db.execute("SELECT body FROM api.audit_export(0, NULL)").fetchone()[0].encode()
    lines = [line for line in body.splitlines(keepends=True) if line.startswith(b'{"previous"')]
    assert verify(b"".join(lines))["last"] == len(lines)
    trail.refused(lines, "not the one that was signed")


def test_a_crash_of_the_database_in_the_middle_of_writing_leaves_a_whole_chain(own_stack):
    stack, stop, done = own_stack, threading.Event(), []
    stack.enrol("audit-1")
    stack.sql("UPDATE fleet.device SET hardware_revision = '0' WHERE serial = 'audit-1'")

    def work():
        while not stop.is_set():
            try:
                stack.sql("UPDATE fleet.device SET hardware_revision = hardware_revision::int + 1 "
                          "WHERE serial = 'audit-1' RETURNING hardware_revision")
                done.append(1)
            except psycopg.Error:
                pass

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    wait_for(lambda: len(done) > 50, 30, "writers to write")
    victim = stack.value("SELECT pid FROM pg_stat_activity WHERE query LIKE 'UPDATE fleet.device%' AND backend_type = 'client backend' LIMIT 1")
    os.kill(victim, signal.SIGKILL)
    count = len(done)
    wait_for(lambda: len(done) > count + 50, 60, "writers to write again")
    stop.set()
    for t in threads:
        t.join()
    chain_is_whole(stack)
    revision = int(stack.value("SELECT hardware_revision FROM fleet.device WHERE serial = 'audit-1'"))
    assert stack.value("SELECT count(*) FROM audit.entry WHERE kind = 'device' AND id = 'audit-1' AND action = 'changed' "
                       "AND convert_from(canonical, 'UTF8')::jsonb -> 'new' ? 'hardware_revision'") - 1 == revision >= len(done)
    assert re.search("terminated by signal 9", stack.log("postgres"))


def test_a_token_that_nobody_has_is_in_the_trail_and_a_flood_of_them_is_not(stack):
    before = stack.value("SELECT number FROM audit.head()")
    for n in range(200):
        assert stack.rest("/v1/devices", f"cf_nobody_{n}").status == 401
    refused = wait_for(lambda: stack.sql("SELECT id, convert_from(canonical, 'UTF8')::jsonb -> 'new' FROM audit.entry "
                                         "WHERE number > %s AND kind = 'login' ORDER BY number", [before]), 20, "the first refusal")
    assert refused[0][0] == "127.0.0.1" and refused[0][1]["reason"] == "token"
    assert len(refused) <= 2 * (1 + 20 * PATIENCE // 60 + 1), "one entry and one count a minute"
