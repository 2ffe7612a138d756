# SPDX-License-Identifier: Apache-2.0
"""What the trackers' own diaries say, compared with what the back end has: each sample once, with the values measured;
every hole in the numbers closed because it was filled, or, of what went with a flash, because it was called lost; quarantine only for a reason that the faults give; commands where
the trackers' logs of acts put them; the audit trail whole. Each check returns what is wrong, in words."""

import json
import os
import struct
import subprocess
from collections import Counter
from datetime import timezone

import cbor2

from commands import broken_histories
from stack import BIN

COLUMNS = {"temp": "temperature_c", "hum": "humidity_pct", "lux": "light_lux", "shock": "shock_ms2", "batt": "battery_pct",
           "rsrp": "rsrp_dbm", "lat": "latitude", "lon": "longitude", "alt": "altitude_m", "acc": "accuracy_m",
           "door": "door_open", "tamper": "tampered", "power": "mains_power"}
DOUBLES = ("lat", "lon")
FACTS = ("seq", "epoch", "clock", "rr", "lost")
SHOWN = 10


def diaries(folder):
    """{(serial, epoch, seq): {ts, values by column}}; of two lines with one number the later one counts."""
    samples = {}
    for path in sorted(folder.glob("*.samples")):
        for line in path.read_text().splitlines():
            said = json.loads(line)
            key = (path.stem, said.pop("epoch"), said.pop("seq"))
            samples[key] = {"ts": said.pop("ts"), **{COLUMNS[name]: value(name, v) for name, v in said.items()}}
    return samples


def value(name, v):
    """As the column holds it."""
    if name in ("door", "tamper", "power"):
        return bool(v)
    return v if name in DOUBLES else struct.pack("f", v)


def stored(stack):
    """The same from the database, and how many rows it took."""
    columns = list(COLUMNS.values())
    rows = stack.sql(f"SELECT serial, epoch, seq, ts, probe, flags, extra::text, {', '.join(columns)} FROM telemetry.reading JOIN fleet.device USING (device_id)")
    found = {}
    for serial, epoch, seq, ts, probe, flags, extra, *values in rows:
        moment = ts.astimezone(timezone.utc)
        sample = {"ts": round(moment.replace(microsecond=0).timestamp()) * 1000000 + moment.microsecond}
        for (name, column), v in zip(COLUMNS.items(), values):
            if v is not None:
                sample[column] = v if isinstance(v, bool) else value(name, v)
        if probe or flags or extra:
            sample["unexpected"] = (probe, flags, extra)
        found[(serial, epoch, seq)] = sample
    return found, len(rows)


def numbers_in(payload):
    """(epoch, number) of each sample of a pack, as docs/protocol.md counts them."""
    names = {0: "n", 2: "v", 6: "t", -3: "bt"}
    records = json.loads(payload) if payload[:1] == b"[" else [{names.get(k, k): v for k, v in r.items()} for r in cbor2.loads(payload)]
    facts, times, base = {}, set(), 0
    for record in records:
        base = record.get("bt", base)
        if record.get("n") in FACTS:
            facts[record["n"]] = record.get("v")
        else:
            times.add(base + record.get("t", 0))
    return {(int(facts.get("epoch", 0)), int(facts["seq"]) + i) for i in range(len(times))} if "seq" in facts else set()


def kept_apart(stack):
    """Samples of messages that stand in quarantine with their bytes, because a clock jumped."""
    rows = stack.sql("SELECT topic, payload FROM telemetry.quarantine WHERE reason = 'clock'")
    return {(topic.split("/")[2], *number) for topic, payload in rows for number in numbers_in(bytes(payload))}


def telemetry(stack, folder, gone):
    """`gone`: what was in a flash, and not stored, when that was lost."""
    said = diaries(folder)
    have, rows = stored(stack)
    absent = set(said) - set(have)
    apart = absent & kept_apart(stack)
    lost = sorted(absent - gone - apart)
    strange = sorted(set(have) - set(said))
    other = sorted(key for key in said if key in have and said[key] != have[key])
    called = called_lost(stack)
    figures = {"samples": len(said), "rows": rows, "lost": len(lost), "twice": rows - len(have), "never measured": len(strange), "altered": len(other),
               "kept in quarantine": len(apart), "gone with a flash": len(absent & gone), "of these called lost": len(absent & called), "called lost and there": len(called - absent)}
    wrong = [f"{name}: {[(key, said.get(key), have.get(key)) for key in keys[:SHOWN]]}"
             for name, keys in (("lost", lost), ("never measured", strange), ("altered", other)) if keys]
    if rows != len(have):
        wrong.append(f"{rows - len(have)} rows more than samples")
    return figures, wrong + numbers(stack, set(said), set(have) | apart, gone, called)


def called_lost(stack):
    rows = stack.sql("SELECT serial, epoch, lower(r), upper(r) FROM telemetry.gap JOIN fleet.device USING (device_id), unnest(lost) AS u (r)")
    return {(serial, epoch, seq) for serial, epoch, first, end in rows for seq in range(first, end)}


def highest(keys):
    high = {}
    for serial, epoch, seq in keys:
        high[serial, epoch] = max(high.get((serial, epoch), -1), seq)
    return high


def numbers(stack, said, have, gone, called):
    """The ledger of gaps: nothing open; called lost is what went with a flash and has a higher number behind it that came, and no
    other; the highest numbers are those of what had to come and what came."""
    wrong = []
    for row in stack.sql("SELECT serial, epoch, seq_from, seq_to, missing::text, lost::text, closed_at FROM telemetry.gap JOIN fleet.device USING (device_id) "
                         "WHERE closed_at IS NULL OR missing <> '{}' LIMIT 10"):
        wrong.append(f"gap that is not closed: {row}")
    expected = highest(have | said - gone)
    known = {(serial, epoch): high for serial, epoch, high in stack.sql(
        "SELECT serial, n.epoch, n.seq_high FROM (SELECT device_id, epoch, seq_high FROM telemetry.device_state WHERE seq_high >= 0 "
        "UNION ALL SELECT device_id, epoch, seq_high FROM telemetry.epoch) AS n JOIN fleet.device USING (device_id)") if serial.startswith("fault-")}
    if known != expected:
        wrong.append(f"accounted for up to, and expected: {sorted(known.items() ^ expected.items())[:SHOWN]}")
    untold = {key for key in said - have - called if key[2] < expected.get(key[:2], -1)}
    for name, keys in (("missing, and nowhere called lost", untold), ("called lost, and no flash had it", called - gone)):
        if keys:
            wrong.append(f"{name}: {sorted(keys)[:SHOWN]}")
    return wrong


def quarantine(stack, clock_jumped):
    rows = stack.sql("SELECT reason, count(*), min(detail) FROM telemetry.quarantine GROUP BY 1")
    return {reason: count for reason, count, _ in rows}, [f"quarantine: {row}" for row in rows if not (row[0] == "clock" and clock_jumped)]


def commands(stack, acts, ordered):
    """Each command is final, and succeeded where and only where its tracker did it, once."""
    rows = stack.sql("SELECT command_id::text, serial, c.state, sent_at, detail FROM command.command AS c JOIN fleet.device USING (device_id)")
    done, wrong = Counter(acts), []
    for command, serial, state, sent_at, detail in rows:
        times = done.pop((serial, command), 0)
        fine = {"succeeded": times == 1, "failed": times <= 1, "rejected": times == 0, "cancelled": times == 0 and sent_at is None,
                # Nobody heard of it in time; what it says of the device must be true.
                "expired": times == 0, "refused": times == 0}.get(state, False)
        if not fine:
            wrong.append(f"command {command} of {serial}: {state} ({detail}), done {times} times, sent {sent_at}")
    if done:
        wrong.append(f"done, and nobody ordered it: {list(done)[:SHOWN]}")
    missing = set(ordered) - {row[0] for row in rows}
    if missing:
        wrong.append(f"ordered, and unknown now: {list(missing)[:SHOWN]}")
    return dict(Counter(row[2] for row in rows)), wrong + [f"history: {row}" for row in broken_histories(stack)]


def audit(stack):
    """The whole trail, exported and verified the way an auditor does it."""
    tool = [BIN / "coldfleetctl", "audit"]
    export = subprocess.run([*tool, "export"], capture_output=True, check=False, env={**os.environ, **stack.env, "COLDFLEET_TOKEN": stack.env["COLDFLEET_TOKEN_AUDITOR"]})
    check = subprocess.run([*tool, "verify", "-", "--key", stack.env["COLDFLEET_AUDIT_KEY"]], input=export.stdout, capture_output=True, check=False)
    entries = export.stdout.count(b'{"previous"')
    fine = export.returncode == 0 and check.returncode == 0 and entries > 0
    return {"entries": entries}, [] if fine else [f"audit: {export.stderr.decode()}{check.stdout.decode()}{check.stderr.decode()}"]
