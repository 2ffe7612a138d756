#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Whatever the order, repetition and batching of the same messages, over two sessions at once, telemetry.advance ends
with the same latest state, the same missing numbers and the same receipts: those that a few lines of set arithmetic
give. Usage: advance_property.py DBURI [ROUNDS [SEED]]; the database is a deployed one, devices are added to it."""

import random
import sys
import threading
from datetime import datetime, timedelta, timezone

import psycopg

START = datetime(2026, 9, 1, tzinfo=timezone.utc)
CHANNELS = [  # columns, column of their time
    (("temperature_c",), "temperature_ts"),
    (("humidity_pct",), "humidity_ts"),
    (("battery_pct",), "battery_ts"),
    (("rsrp_dbm",), "rsrp_ts"),
    (("latitude", "longitude", "altitude_m", "accuracy_m"), "position_ts"),
    (("door_open",), "door_ts"),
    (("tampered",), "tampered_ts"),
    (("mains_power",), "power_ts"),
    (("clock_offset_s",), "clock_at"),
]
BOOLEANS = ("door_open", "tampered", "mains_power")
TYPES = {
    **{c: "float4[]" for columns, _ in CHANNELS for c in columns},
    **{c: "bool[]" for c in BOOLEANS},
    "latitude": "float8[]",
    "longitude": "float8[]",
}
CALL = "select * from telemetry.advance(%s::int4[], %s::timestamptz[], %s::timestamptz[], {}, {})".format(
    ", ".join(
        "%s::{}".format(t)
        for columns, _ in CHANNELS
        for t in [TYPES[c] for c in columns] + ["timestamptz[]"]
    ),
    "%s::int4[], %s::int2[], %s::int4[], %s::int4[], %s::bool[], %s::int4[], %s::int2[]",
)


def moment(rng, span):
    return START + timedelta(seconds=rng.randrange(span))


def message(rng, device, style):
    """What one pack tells: values with their times, ranges of numbers, a wish for a receipt."""
    values = {}
    for columns, ts in CHANNELS:
        if rng.random() < 0.5:
            pick = (lambda c: rng.random() < 0.5) if columns[0] in BOOLEANS else (lambda c: float(rng.randrange(4)))
            value = tuple(None if c in ("altitude_m", "accuracy_m") and rng.random() < 0.5 else pick(c) for c in columns)
            values[ts] = (moment(rng, 4), value)
    if "clock_at" in values:
        values["clock_at"] = (START + timedelta(seconds=rng.randrange(4)), values["clock_at"][1])
    ranges = []
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
        first = rng.randrange(style["span"])
        last = first + rng.randrange(style["width"])
        ranges.append((rng.randrange(style["epochs"]), first, last, rng.random() < style["lost"]))
    asks = [rng.choice((None, rng.randrange(style["epochs"])))] if rng.random() < 0.5 else []
    return {"device": device, "received_at": moment(rng, 50), "values": values, "ranges": ranges, "asks": asks}


def order(value):
    """How rows compare in PostgreSQL: an absent part is the greatest."""
    return tuple((v is None, v or 0) for v in value)


def latest(messages, ts):
    seen = [m["values"][ts] for m in messages if ts in m["values"]]
    return max(seen, key=lambda v: (v[0], order(v[1]))) if seen else (None, None)


def arguments(rng, messages):
    """A batch as ingest would send it."""
    devices = sorted({m["device"] for m in messages})
    of = {d: [m for m in messages if m["device"] == d] for d in devices}
    args = [devices, [max(m["received_at"] for m in of[d]) for d in devices]]
    args.append([max((v[0] for m in of[d] for v in m["values"].values()), default=None) for d in devices])
    for columns, ts in CHANNELS:
        best = [latest(of[d], ts) for d in devices]
        if all(b[0] is None for b in best):
            args += [None] * (len(columns) + 1)
            continue
        args += [[b[1] and b[1][i] for b in best] for i in range(len(columns))] + [[b[0] for b in best]]
    facts = [(m["device"], *r) for m in messages for r in m["ranges"]]
    rng.shuffle(facts)
    if rng.random() < 0.5:
        facts.sort()
    args += [[f[i] for f in facts] for i in range(5)] if facts else [None] * 5
    if facts and not any(args[-1]) and rng.random() < 0.5:
        args[-1] = None
    asks = sorted({(m["device"], a) for m in messages for a in m["asks"]}, key=str)
    args += [[a[i] for a in asks] for i in range(2)] if asks else [None] * 2
    return args


def deliver(uri, rng, messages, failures):
    """Sends the messages in batches of random size over a session of its own."""
    try:
        with psycopg.connect(uri, options="-c jit=off") as db:
            while messages:
                size = rng.choice((1, 1, 2, 5, 20))
                batch, messages = messages[:size], messages[size:]
                db.execute(CALL, arguments(rng, batch))
                db.commit()
    except Exception as error:  # told by the main thread
        failures.append(error)


def missing_of(numbers):
    """Ranges absent below the highest number."""
    out, expected = [], 0
    for n in sorted(numbers):
        if n > expected:
            out.append((expected, n - 1))
        expected = n + 1
    return out


def receipt_of(numbers):
    if not numbers:
        return -1, []
    holes = missing_of(numbers)
    through = max(numbers) if len(holes) <= 32 else holes[32][0] - 1
    return through, [n for hole in holes[:32] for n in hole]


def check(db, device, messages, epochs):
    columns = [c for columns, ts in CHANNELS for c in (*columns, ts)]
    row = db.execute(
        f"select epoch, seq_high, gaps, received_at, {', '.join(columns)} from telemetry.device_state where device_id = %s",
        [device],
    ).fetchone()
    numbers = {}
    declared = set()
    for m in messages:
        for epoch, first, last, lost in m["ranges"]:
            numbers.setdefault(epoch, set()).update(range(first, last + 1))
            if lost:
                declared.update((epoch, n) for n in range(first, last + 1))
    newest = max(numbers, default=0)
    want = [newest, max(numbers.get(newest, {-1})), len(missing_of(numbers.get(newest, ())))]
    want.append(max(m["received_at"] for m in messages))
    for names, ts in CHANNELS:
        at, value = latest(messages, ts)
        want += [*(value or [None] * len(names)), at]
    assert list(row) == want, f"device {device}: state\n{row}, expected\n{want}"
    past = dict(db.execute("select epoch, seq_high from telemetry.epoch where device_id = %s", [device]).fetchall())
    assert past == {e: max(n) for e, n in numbers.items() if e != newest}, f"device {device}: epochs {past}"
    for epoch in range(epochs):
        gaps = db.execute(
            "select lower(m), upper(m) - 1 from telemetry.gap, unnest(missing) as m"
            " where device_id = %s and epoch = %s order by 1",
            [device, epoch],
        ).fetchall()
        assert gaps == missing_of(numbers.get(epoch, ())), f"device {device} epoch {epoch}: gaps {gaps}"
        lost = db.execute(
            "select n from telemetry.gap, unnest(lost) as l, generate_series(lower(l), upper(l) - 1) as n"
            " where device_id = %s and epoch = %s",
            [device, epoch],
        ).fetchall()
        assert {(epoch, n) for (n,) in lost} <= declared, f"device {device} epoch {epoch}: lost, never declared so"
        args = [[device], [messages[0]["received_at"]], None] + [None] * 26 + [[device], [epoch]]
        answer = db.execute(CALL, args).fetchall()
        through, holes = receipt_of(numbers.get(epoch, ()))
        # What is due to be asked for again, in other epochs, may be told besides.
        answer = [row for row in answer if row[1] == epoch]
        assert answer == [(device, epoch, through, holes)], f"device {device}: receipt {answer}, expected {through} {holes}"


def play(uri, db, rng):
    style = {
        "span": rng.choice((12, 60, 400)),
        "width": rng.choice((1, 3, 20)),
        "epochs": rng.choice((1, 1, 3)),
        "lost": rng.choice((0, 0, 0.3)),
    }
    tag = "%016x" % rng.getrandbits(64)
    devices = [
        db.execute("select fleet.register_device(%s, 'property', 'property', '')", [f"{tag}-{n}"]).fetchone()[0]
        for n in range(3)
    ]
    db.commit()
    messages = [message(rng, rng.choice(devices), style) for _ in range(rng.choice((3, 20, 120)))]
    if rng.random() < 0.3:  # the steady state, to be sure that it is met
        messages += [{**message(rng, d, style), "ranges": [(0, n, n, False)]} for d in devices for n in range(40)]
    told = messages + rng.sample(messages, len(messages) // 4)
    how = rng.randrange(3)
    if how == 0:
        rng.shuffle(told)
    elif how == 1:
        told.reverse()
    failures = []
    sessions = [
        threading.Thread(target=deliver, args=(uri, random.Random(rng.getrandbits(64)), told[n::2], failures))
        for n in range(2)
    ]
    for s in sessions:
        s.start()
    for s in sessions:
        s.join()
    assert not failures, failures
    for device in devices:
        mine = [m for m in messages if m["device"] == device]
        if mine:
            check(db, device, mine, style["epochs"])
    db.commit()


def main():
    uri = sys.argv[1]
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 100
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 20260901
    with psycopg.connect(uri, options="-c jit=off") as db:
        for n in range(rounds):
            try:
                play(uri, db, random.Random(seed + n))
            except AssertionError as failure:
                sys.exit(f"round {n}, seed {seed + n}: {failure}")
    print(f"{rounds} rounds from seed {seed}: any order ends the same")


main()
