# SPDX-License-Identifier: Apache-2.0
"""Two sessions do to one command what excludes each other, at the same moment, a thousand times each: one of them wins,
the other is told so, and what is left is a path through the table of transitions. A database and nothing else runs."""

import json
import threading

import psycopg
import pytest

from stack import Stack, wait_for

ROUNDS = 1000
RESULT = ("SELECT command.record_replies(ARRAY[%s]::text[], ARRAY[%s]::uuid[], ARRAY[%s]::bigint[], ARRAY['succeeded'], ARRAY[NULL]::text[], "
          "ARRAY[NULL]::jsonb[], ARRAY[NULL]::timestamptz[], ARRAY[1]::bigint[], ARRAY[NULL]::bigint[], ARRAY['x']::bytea[], ARRAY[now()])")


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """A database with the schema; no broker, no daemon."""
    one = None
    try:
        one = Stack(tmp_path_factory.mktemp("database"), "--database")
        one.sql("SELECT fleet.register_device('race-' || n, 'Acme', 'R-1', '') FROM generate_series(1, %s) AS n", [ROUNDS])
        one.sql("UPDATE command.setting SET ack_timeout = '1 h'")  # nothing of an earlier round is sent again
        yield one
    finally:
        if one:
            one.down()


# One round trip a call, so that a thousand rounds take seconds.
REST = """CREATE FUNCTION pg_temp.rest(actor text, role text, call text, id text, body text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    status int;
BEGIN
    PERFORM api.enter(actor, NULL, role, NULL, 'viewer', NULL);
    SET LOCAL ROLE coldfleet_api;
    EXECUTE format('SELECT status FROM api.%I(%L, %L%s)', call, id, body, CASE call WHEN 'request_edit' THEN ', ''*''' END) INTO status;
    RETURN status;
EXCEPTION WHEN OTHERS THEN
    RETURN sqlstate;
END $$"""
SIGN = """WITH taken AS MATERIALIZED (SELECT array_agg(command_id) AS ids, array_agg(generation) AS generations, count(*)::int AS n
                                     FROM command.take_to_sign(%s))
    SELECT s.command_id FROM taken, command.store_signed(ids, generations, array_fill('signed'::bytea, ARRAY[n]), decode(repeat('0', 16), 'hex')) AS s
    WHERE n > 0"""


class Session:
    """A connection that works as a daemon's role, or as REST does for somebody."""

    def __init__(self, stack, role):
        self.db = stack.connect()
        self.db.execute("SET synchronous_commit = off")
        if role == "api":
            self.db.execute(REST)
        else:
            self.db.execute(f"SET ROLE coldfleet_{role}")

    def call(self, query, params=()):
        return self.db.execute(query, params).fetchall()

    def rest(self, actor, role, call, id, **body):
        """The status of an answer, or the SQLSTATE that it was refused with."""
        return self.call("SELECT pg_temp.rest(%s, %s, %s, %s, %s)", [actor, role, call, str(id), json.dumps(body)])[0][0]

    def sign(self, most=1):
        """Has the next commands signed; their numbers."""
        return [c for (c,) in self.call(SIGN, [most])]


class Race:
    def __init__(self, stack):
        self.stack = stack
        self.sessions = []

    def session(self, role):
        self.sessions.append(Session(self.stack, role))
        return self.sessions[-1]

    def each(self, operation, arguments=None):
        """A request of its own to each device, by anna; rows of request, digest, command and serial."""
        with self.stack.connect() as db, db.transaction():
            db.execute("SELECT api.enter('anna', NULL, 'operator', NULL, 'viewer', NULL)")
            db.execute("SET LOCAL ROLE coldfleet_api")
            db.execute("SELECT api.command_make('race-' || n, %s) FROM generate_series(1, %s) AS n",
                       [json.dumps({"operation": operation, "arguments": arguments or {}}), ROUNDS])
        return self.stack.sql("""SELECT request_id, encode(request_sha256, 'hex'), command_id, serial FROM command.command
            JOIN command.request AS r USING (request_id) JOIN fleet.device USING (device_id)
            WHERE r.operation = %s AND place IS NOT NULL ORDER BY command_id LIMIT %s""", [operation, ROUNDS])

    def run(self, one, other, prepare=lambda n: n, rounds=ROUNDS):
        """one(x) and other(x) at the same moment, for x = prepare(n); pairs of what they returned."""
        gate, items, results = threading.Barrier(2), [None] * rounds, [[None] * rounds, [None] * rounds]

        def side(number, work):
            for n in range(rounds):
                if number == 0:
                    items[n] = prepare(n)
                gate.wait(60)
                results[number][n] = work(items[n])
                gate.wait(60)

        def guarded(number, work):
            try:
                side(number, work)
            except BaseException:
                gate.abort()
                raise

        thread = threading.Thread(target=guarded, args=(1, other))
        thread.start()
        try:
            guarded(0, one)
        finally:
            thread.join()
        return list(zip(*results))

    def states(self, commands):
        rows = self.stack.sql("SELECT command_id, state, late, sends FROM command.command WHERE command_id = ANY (%s)", [list(commands)])
        return {r[0]: r[1:] for r in rows}


@pytest.fixture
def race(stack):
    """Afterwards: every step in the history is one that the table allows, and the steps of each command follow each other."""
    race = Race(stack)
    yield race
    for session in race.sessions:
        session.db.close()
    outside = stack.sql("""SELECT DISTINCT from_state, to_state FROM command.history
        EXCEPT SELECT from_state, to_state FROM command.transition_rule""")
    assert not outside, outside
    broken = stack.sql("""SELECT command_id FROM (SELECT command_id, from_state,
            lag(to_state) OVER (PARTITION BY command_id ORDER BY history_id) AS before FROM command.history) AS h
        WHERE coalesce(before, 'requested') <> from_state LIMIT 3""")
    assert not broken, broken
    # The next test begins with empty queues.
    stack.sql("SET session_replication_role = replica; UPDATE command.command SET state = 'cancelled', place = NULL WHERE place IS NOT NULL")


def test_cancel_against_send_has_one_winner(race):
    api, signer, bridge = race.session("api"), race.session("signer"), race.session("bridge")
    commands = [c for _, _, c, _ in race.each("locate")]
    pairs = race.run(lambda c: api.rest("anna", "operator", "command_cancel", c),
                     lambda c: bool(bridge.call("SELECT command_id FROM command.claim(1, '{}')")), lambda n: signer.sign()[0])
    states = race.states(commands)
    assert len(pairs) == len(states) == ROUNDS
    assert set(pairs) <= {("200", False), ("CF409", True)}, set(pairs)
    assert sum(s[0] == "sent" for s in states.values()) == pairs.count(("CF409", True))
    assert sum(s == ("cancelled", False, 0) for s in states.values()) == pairs.count(("200", False))


def test_approve_against_edit_approves_nothing_that_was_not_shown(race):
    approver, requester = race.session("api"), race.session("api")
    asked = race.each("disable", {"mode": "halt"})
    pairs = race.run(lambda n: approver.rest("bert", "approver", "request_approve", asked[n][0], request_sha256=asked[n][1]),
                     lambda n: requester.rest("anna", "operator", "request_edit", asked[n][0], arguments={"mode": "radio-off"}))
    assert set(pairs) <= {("200", "CF409"), ("CF409", "200")}, set(pairs)
    wrong = race.stack.sql("""SELECT r.request_id FROM command.request AS r JOIN command.command AS c USING (request_id)
        WHERE r.operation = 'disable' AND c.state <> 'awaiting_approval' AND NOT EXISTS (SELECT FROM command.approval AS a
            WHERE a.request_id = r.request_id AND a.request_sha256 = r.request_sha256 AND r.arguments ->> 'mode' = 'halt')""")
    assert not wrong, wrong[:3]


def test_of_two_approvers_one_is_recorded(race):
    one, other = race.session("api"), race.session("api")
    asked = race.each("enable")
    pairs = race.run(lambda n: one.rest("bert", "approver", "request_approve", asked[n][0], request_sha256=asked[n][1]),
                     lambda n: other.rest("carla", "approver", "request_approve", asked[n][0], request_sha256=asked[n][1]))
    assert set(pairs) <= {("200", "CF409"), ("CF409", "200")}, set(pairs)
    assert race.stack.value("SELECT count(*) FROM command.approval JOIN command.request USING (request_id) WHERE operation = 'enable'") == ROUNDS


def test_expiry_against_reply_ends_in_what_the_device_says(race):
    sweeper, bridge, signer, owner = race.session("bridge"), race.session("bridge"), race.session("signer"), race.stack.connect(options="-c synchronous_commit=off")
    asked = race.each("report-now")
    signer.sign(ROUNDS)
    while bridge.call("SELECT command_id FROM command.claim(500, '{}')"):
        pass
    counters = dict(race.stack.sql("SELECT command_id, counter FROM command.command"))

    def end(n):
        owner.execute("""WITH one AS (UPDATE command.command SET expires_at = now() - interval '1 s' WHERE command_id = %s)
            UPDATE command.request SET not_before = now() - interval '2 s', expires_at = now() - interval '1 s' WHERE request_id = %s""",
                      [asked[n][2], asked[n][0]])
        return asked[n]

    race.run(lambda c: sweeper.call("SELECT command.sweep()"), lambda c: bridge.call(RESULT, [c[3], c[2], counters[c[2]]]), end)
    owner.close()
    states = race.states(c for _, _, c, _ in asked)
    late = {c for (c,) in race.stack.sql("SELECT command_id FROM command.history WHERE to_state = 'expired'")}
    assert {s[0] for s in states.values()} == {"succeeded"}
    assert all(s[1] == (c in late) for c, s in states.items())


@pytest.mark.parametrize("role,call", [("bridge", "SELECT command_id FROM command.claim(1, '{}')"),
                                       ("signer", "SELECT command_id FROM command.take_to_sign(1)")])
def test_what_one_takes_no_other_takes(race, role, call):
    sessions, signer = [race.session(role), race.session(role)], race.session("signer")
    race.each("reboot")
    if role == "bridge":
        signer.sign(ROUNDS)
    pairs = race.run(lambda n: sessions[0].call(call), lambda n: sessions[1].call(call), rounds=ROUNDS // 2)
    taken = [c for pair in pairs for rows in pair for (c,) in rows]
    assert len(taken) > ROUNDS // 2
    # One that finds the next device in the other's hands takes nothing; what is left is taken now.
    while rows := sessions[0].call(call):
        taken += [c for (c,) in rows]
    assert len(taken) == len(set(taken)) == ROUNDS


@pytest.mark.parametrize("channel,passes", [("command_sign", lambda signer, bridge: signer.call("SELECT command_id FROM command.take_to_sign(1)")),
                                            ("command_send", lambda signer, bridge: bridge.call("SELECT command_id FROM command.claim(1, '{}')"))])
def test_who_passed_over_a_device_that_somebody_held_is_called_when_it_is_let_go(race, channel, passes):
    signer, bridge, holder, listener = race.session("signer"), race.session("bridge"), race.session("bridge"), race.stack.connect()
    first = race.each("locate")[0]
    signer.sign(ROUNDS)
    while bridge.call("SELECT command_id FROM command.claim(500, '{}')"):
        pass
    counter = race.stack.value("SELECT counter FROM command.command WHERE command_id = %s", [first[2]])
    with race.stack.connect() as db, db.transaction():
        db.execute("SELECT api.enter('anna', NULL, 'operator', NULL, 'viewer', NULL)")
        db.execute("SET LOCAL ROLE coldfleet_api")
        db.execute("SELECT api.command_make(%s, %s)", [first[3], json.dumps({"operation": "locate"})])
    if channel == "command_send":
        assert len(signer.sign()) == 1
    calls = []
    listener.add_notify_handler(lambda call: calls.append(call.pid))
    listener.execute(f"LISTEN {channel}")
    with holder.db.transaction():
        holder.call(RESULT, [first[3], first[2], counter])
        assert passes(signer, bridge) == []
    wait_for(lambda: listener.execute("SELECT 1") and calls, 10, f"a {channel}")
    assert calls == [holder.db.info.backend_pid]
    assert len(passes(signer, bridge)) == 1
    listener.close()
