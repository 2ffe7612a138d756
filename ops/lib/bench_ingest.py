# SPDX-License-Identifier: Apache-2.0
"""ops/bench ingest: how fast telemetry is stored, beside how fast a subscriber can be that stores nothing.

In turns, through the same broker, with the same generator: a subscriber that only acknowledges; ingest by lanes; ingest
by the ring. A run is a number of messages from connected trackers, from the first publish until the last is
acknowledged, or committed. Then each way in gets half its rate, and a session of PostgreSQL looks when readings become
visible. Disk space is measured on readings of temperature, humidity and battery.

Or, with --active, the memory of ingest while every device sends: a broker without access control lets the connected
trackers write for all."""

import argparse
import contextlib
import http.client
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

from bench import ROOT, Failure, Late, Private, end, end_in_time, number, run, tell

LIMIT = 3600  # seconds for all of it, but for removing it
VARIANTS = [(encoding, samples) for samples in (1, 12, 144) for encoding in ("json", "cbor")]
SHARE = {1: 1, 12: 3, 144: 20}  # messages of a run with one sample, by this
TICK = os.sysconf("SC_CLK_TCK")
# Each look is a transaction of its own: one that lasts would keep all versions of the latest states that are updated meanwhile.
WATCH = """
CREATE PROCEDURE pg_temp.watch(seconds float8, INOUT visible_ms float8[]) LANGUAGE plpgsql AS $$
DECLARE
	devices int[] := ARRAY(SELECT device_id FROM fleet.device WHERE serial LIKE 'load-%' ORDER BY random() LIMIT 5);
	last timestamptz[] := array_fill(clock_timestamp(), ARRAY[cardinality(devices)]);
	until timestamptz := clock_timestamp() + seconds * interval '1 s';
	at timestamptz;
BEGIN
	WHILE clock_timestamp() < until LOOP
		FOR i IN 1..cardinality(devices) LOOP
			FOR at IN SELECT ts FROM telemetry.reading WHERE device_id = devices[i] AND ts > last[i] ORDER BY ts LOOP
				visible_ms := visible_ms || extract(epoch FROM clock_timestamp() - at)::float8 * 1000;
				last[i] := at;
			END LOOP;
		END LOOP;
		COMMIT;
		PERFORM pg_sleep(0.003);
	END LOOP;
END $$;
"""


class Stack(Private):
    def start(self, given):
        tell("building, then starting PostgreSQL and a broker")
        self.up()
        for part in ("notify", "api", "signer", "bridge", "ingest"):
            self.demo("stop", part)
        self.bin = ROOT / "build" / os.environ.get("COLDFLEET_PRESET", "release") / "bin"
        self.certs = Path(self.env["COLDFLEET_CERTS"])
        self.trackers = given.trackers
        self.epoch = 0
        self.processes = []
        tell(f"filling in {given.devices} devices")
        run("psql", "-X", "-d", self.env["COLDFLEET_DB_OWNER"], "-v", f"devices={max(1, given.devices - given.trackers)}",
            "-f", ROOT / "ops/lib/bench_fleet.sql", stdout=sys.stderr)
        tell(f"making certificates for {given.trackers} trackers")
        minted = run(self.bin / "coldfleet-tracker", "mint", "--dir", self.certs, "--prefix", "load-", "--count", given.trackers)
        (self.dir / "minted.tsv").write_text(minted)
        with open(self.dir / "minted.tsv", "rb") as listed:
            self.psql("-f", ROOT / "ops/lib/enrol.sql", stdin=listed)
        self.psql("-c", "VACUUM (ANALYZE) fleet.device, telemetry.device_state")
        self.use_wal(min(128, given.messages // 3000))
        self.read_configuration()

    def __exit__(self, *failure):
        for process in getattr(self, "processes", []):
            end(process)
        super().__exit__(*failure)

    def use_wal(self, files):
        """A database that has been at work has files for its WAL, which checkpoints give new names. A new one makes a file each 16 MiB,
        in the commit that needs it, which takes 50 ms. 128 of them are min_wal_size."""
        self.psql("-c", f"DO $$ BEGIN FOR i IN 1..{files} LOOP PERFORM pg_logical_emit_message(false, 'bench', ''), pg_switch_wal(); "
                        "END LOOP; END $$", "-c", "CHECKPOINT")

    def read_configuration(self):
        """[ingest] of the whole, from which each way in gets its own, and the broker's with and without the plugin."""
        text = (self.dir / "coldfleet.ini").read_text().split("[bridge]")[0]
        self.ingest = dict(map(str.strip, line.split("=", 1)) for line in text.splitlines() if "=" in line)
        self.monitors = [port for port in map(int, (self.ingest["monitor"].split(":")[1], self.port("bridge")))]
        conf = (self.dir / "broker" / "mosquitto.conf").read_text()
        # Lanes and the subscriber come over TCP, as from another machine. A Unix socket keeps a buffer for each packet and so holds
        # 278 acknowledgements; a busy broker reads one of a connection in each of its rounds.
        self.tcp = free_port()
        self.broker = {True: conf, False: "\n".join(line for line in conf.splitlines() if not line.startswith("plugin")) +
                       f"\nlistener {self.tcp} 127.0.0.1\n"}

    def port(self, part):
        return int(self.env[f"COLDFLEET_METRICS_{part.upper()}"].split(":")[2].split("/")[0])

    def restart_broker(self, ring, anybody=False):
        """A broker that remembers nobody's session. `anybody`: a tracker may write for all of them."""
        self.demo("stop", "broker")
        for left in (self.dir / "broker").glob("mosquitto.db*"):
            left.unlink()
        lines = [line for line in self.broker[ring].splitlines() if not (anybody and line.startswith("acl_file"))]
        (self.dir / "broker" / "mosquitto.conf").write_text("\n".join(lines) + "\n")
        self.demo("start", "broker")

    def spawn(self, *words, **options):
        with open(self.dir / "log" / f"bench-{Path(words[0]).name}.log", "ab") as log:
            process = subprocess.Popen([str(word) for word in words], **{"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log, **options},
                                       start_new_session=True, env={**os.environ, **self.env})
        self.processes.append(process)
        return process

    def pid(self, part):
        return int((self.dir / "run" / f"{part}.pid").read_text().split()[0])

    def cpu(self, ingest=()):
        """Seconds of processor time so far: of the broker, of ingest, and of PostgreSQL with all its processes."""
        postmaster = self.pid("postgres")
        postgres = sum(ticks(pid, 4 if pid == postmaster else 2) for pid, parent in processes() if postmaster in (pid, parent))
        return {"broker": ticks(self.pid("broker"), 2) / TICK, "postgres": postgres / TICK,
                "ingest": sum(ticks(process.pid, 2) for process in ingest) / TICK}

    @contextlib.contextmanager
    def ingesting(self, source, count):
        """Ingest processes of one way in, ready; what they cost to start is noted."""
        started = []
        try:
            for n in range(count):
                settings = {**self.ingest, "client_id": f"@ingest-{n}", "monitor": f"127.0.0.1:{self.monitors[n]}",
                            **({} if source == "ring" else {"ring": "", "mqtt_host": "127.0.0.1", "mqtt_port": self.tcp})}
                path = self.dir / f"ingest-{n}.ini"
                path.write_text("[ingest]\n" + "".join(f"{name} = {value}\n" for name, value in settings.items()))
                began = time.monotonic()
                process = self.spawn(self.bin / "coldfleet-ingest", "--config", path)
                process.monitor = self.monitors[n]
                started.append(process)
                while not ready(process.monitor):
                    if process.poll() is not None or time.monotonic() > began + 120:
                        raise Failure("coldfleet-ingest does not get ready")
                    time.sleep(0.02)
                process.start_s = time.monotonic() - began
            yield started
        finally:
            for process in started:
                end(process)

    @contextlib.contextmanager
    def generator(self, encoding, samples, *words):
        """The trackers, connected and waiting for a word."""
        self.epoch += 1
        process = self.spawn(self.bin / "coldfleet-tracker", "load", "--serials", f"load-:{self.trackers}", "--samples-per-pack", samples,
                             "--receipts-every", 10, "--epoch", self.epoch, "--gate", "--json", *(["--cbor"] if encoding == "cbor" else []),
                             *words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            if process.stdout.readline() != "connected\n":
                raise Failure(f"the trackers do not connect: {(self.dir / 'log' / 'bench-coldfleet-tracker.log').read_text()[-300:]}")
            yield process
        finally:
            end(process)


def free_port():
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return listener.getsockname()[1]


def processes():
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError):
            yield int(entry.parent.name), int(entry.read_text().rpartition(") ")[2].split()[1])


def ticks(pid, fields):
    """Of the process; with 4 fields also of its children that have ended."""
    with contextlib.suppress(OSError, IndexError):
        return sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[11:11 + fields]))
    return 0


def rss_mib(process, what="VmRSS"):
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(what))) / 1024


def asked(port, path):
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def ready(port):
    with contextlib.suppress(OSError):
        return asked(port, "/readyz")[0] == 200


def metric(started, name):
    return sum(float(line.split()[1]) for process in started for line in asked(process.monitor, "/metrics")[1].splitlines()
               if line.startswith(f"coldfleet_ingest_{name}"))


def go(generator):
    generator.stdin.write("go\n")
    generator.stdin.flush()


def summary(generator):
    """What the generator said at its end: all of it was accepted, if not at once, and nothing dropped."""
    said = generator.stdout.readline()
    if generator.wait(120) != 0:
        raise Failure(f"the generator ended badly: {said.strip()}")
    return json.loads(said)


def per_message(before, after, sent, messages):
    used = {name: (after[name] - before[name]) / messages * 1e6 for name in after}
    return {"generator": sent["cpu_seconds"] / messages * 1e6, **used}


def measure_null(stack, encoding, samples, messages):
    stack.restart_broker(ring=False)
    sink = stack.spawn(stack.bin / "coldfleet-tracker", "sink", "--host", "127.0.0.1", "--port", stack.tcp, "--password-file",
                       stack.ingest["mqtt_password_file"], "--messages", messages, stdout=subprocess.PIPE, text=True)
    if sink.stdout.readline() != "subscribed\n":
        raise Failure("the subscriber that only acknowledges cannot subscribe")
    with stack.generator(encoding, samples, "--messages", messages) as generator:
        before = stack.cpu()
        go(generator)
        got = json.loads(sink.stdout.readline())
        after = {**stack.cpu(), "ingest": got["cpu_seconds"]}
        sent = summary(generator)
    end(sink)
    return {"per_s": messages / (got["last"] - sent["began"]), "cpu_us": per_message(before, after, sent, messages)}


def measure(stack, source, count, encoding, samples, messages, *words):
    stack.restart_broker(ring=source == "ring")
    with stack.ingesting(source, count) as started:
        with stack.generator(encoding, samples, "--messages", messages, *words) as generator:
            first, before, batches = metric(started, "readings_total"), stack.cpu(started), metric(started, "batches_total")
            go(generator)
            deadline = time.monotonic() + 300
            while (stored := metric(started, "readings_total") - first) < messages * samples:
                if time.monotonic() > deadline or any(process.poll() is not None for process in started):
                    raise Failure(f"{stored:.0f} of {messages * samples} readings are stored")
                time.sleep(0.1 if stored < messages * samples * 0.95 else 0.005)  # towards the end it counts
            done, after = time.time(), stack.cpu(started)
            batches = metric(started, "batches_total") - batches
            sent = summary(generator)
        return {"per_s": messages / (done - sent["began"]), "cpu_us": per_message(before, after, sent, messages), "batch": messages / batches,
                "start_s": max(process.start_s for process in started), "rss_mib": max(map(rss_mib, started))}


def measure_visible(stack, source, count, encoding, samples, rate, seconds):
    """Milliseconds from publish until a SELECT of another session shows the reading, at most 3 more than it was."""
    stack.restart_broker(ring=source == "ring")
    with stack.ingesting(source, count):
        with stack.generator(encoding, samples, "--rate", f"{rate:.1f}", "--duration", f"{seconds + 2}s") as generator:
            go(generator)
            time.sleep(1)
            said = stack.psql("-c", WATCH, "-c", f"CALL pg_temp.watch({seconds}, '{{}}')")
            summary(generator)
    found = sorted(map(float, re.findall("[0-9.]+", said)))
    if not found:
        raise Failure("no reading became visible")
    return {"p50": found[len(found) // 2], "p99": found[min(len(found) - 1, int(len(found) * 0.99))]}


def measure_space(stack, samples, readings):
    """Bytes a reading of temperature, humidity and battery, in tables that hold nothing else, with their indexes."""
    stack.psql("-c", "TRUNCATE telemetry.measurement")
    # No faster than the ring is emptied.
    measure_words = ("--full", "--messages", max(1, readings // samples), "--rate", min(30_000, 150_000 // samples))
    stack.restart_broker(ring=True)
    with stack.ingesting("ring", 1) as started, stack.generator("json", samples, *measure_words) as generator:
        go(generator)
        summary(generator)
        while metric(started, "readings_total") < readings // samples * samples:
            time.sleep(0.2)
    size = stack.psql("-c", "SELECT sum(pg_table_size(relid) + pg_indexes_size(relid))::float8 / (SELECT count(*) FROM telemetry.measurement) "
                            "FROM pg_partition_tree('telemetry.measurement') WHERE isleaf AND pg_table_size(relid) > 8192")
    stack.psql("-c", "TRUNCATE telemetry.measurement")
    return float(size)


class Paced:
    """A generator that is stopped while it is AHEAD messages in front of what is stored: what the ring refuses leaves gaps in the
    numbers of devices, which cost more to keep than readings."""

    AHEAD = 100_000  # far less than the ring and the broker's queue hold; what was sent is known three seconds late

    def __init__(self, stack, generator):
        self.generator, self.stopped = generator, False
        self.log = stack.dir / "log" / "bench-coldfleet-tracker.log"
        self.begin = self.log.stat().st_size

    def stored(self, messages):
        told = re.findall(rb"sent ([0-9]+)", self.log.read_bytes()[self.begin:])
        ahead = int(told[-1]) - messages if told else 0
        if ahead > (self.AHEAD // 2 if self.stopped else self.AHEAD):
            self.signal(signal.SIGSTOP)
        elif self.stopped:
            self.signal(signal.SIGCONT)

    def signal(self, number):
        self.generator.send_signal(number)
        self.stopped = number == signal.SIGSTOP


def measure_active(stack, given, source, count):
    """Memory of ingest while all devices send by turns, over the connections of a few of them: at each million messages stored."""
    stack.psql("-c", "SET session_replication_role = replica", "-c", "UPDATE fleet.device SET state = 'active' WHERE state <> 'active'")
    stack.restart_broker(ring=source == "ring", anybody=True)
    found = []

    def look(stored, seconds):
        found.append([round(max(rss_mib(process, what) for process in started), 1) for what in ("VmRSS", "RssAnon")])
        tell(f"{stored:,.0f} messages by {source}-{count} in {seconds:.0f} s: ingest has {found[-1][0]} MiB, {found[-1][1]} of it not the ring's or a file's")

    with stack.ingesting(source, count) as started:
        look(0, 0)
        words = ("--messages", given.active, "--rate", given.rate, "--as", f"bench-:{given.devices - given.trackers}")
        with stack.generator("json", 1, *words) as generator:
            first, began, paced = metric(started, "readings_total"), time.monotonic(), Paced(stack, generator)
            go(generator)
            while (stored := metric(started, "readings_total") - first) < given.active:
                if generator.poll() or any(process.poll() is not None for process in started):
                    raise Failure(f"{stored:,.0f} of {given.active:,} readings are stored; the generator: {generator.stdout.readline().strip()}")
                if stored >= len(found) * 1_000_000:
                    look(stored, time.monotonic() - began)
                paced.stored(stored)
                time.sleep(0.5)
            took = time.monotonic() - began
            look(stored, took)
            summary(generator)
    sent = int(stack.psql("-c", "SELECT count(DISTINCT device_id) FROM telemetry.measurement"))
    gaps = int(stack.psql("-c", "SELECT count(*) FROM telemetry.gap"))
    stack.psql("-c", "TRUNCATE telemetry.measurement")
    return {"bench": "ingest", "case": "active", "source": f"{source}-{count}", "devices": given.devices, "devices_that_sent": sent, "gaps": gaps,
            "messages": given.active, "stored_per_s": round(given.active / took), "rss_mib": [rss for rss, _ in found],
            "anonymous_mib": [own for _, own in found]}


def median(runs, key):
    values = [one[key] for one in runs]
    if isinstance(values[0], dict):
        return {name: statistics.median(value[name] for value in values) for name in values[0]}
    return statistics.median(values)


def medians(runs):
    return {key: median(runs, key) for key in runs[0]}


def ways(given):
    return [way for way in (("lane", 1), ("lane", 2), ("ring", 1)) if f"{way[0]}-{way[1]}" in given.sources]


def variant(stack, given, encoding, samples, space):
    """All ways in beside the subscriber that stores nothing, in turns; a result each."""
    messages = max(given.trackers, given.messages // SHARE[samples])
    runs = {"null": [], **{way: [] for way in ways(given)}}
    for number in range(given.rounds):
        for way, found in runs.items():
            found.append(measure_null(stack, encoding, samples, messages) if way == "null" else
                         measure(stack, *way, encoding, samples, messages))
            name = "acknowledged only" if way == "null" else f"stored by {way[0]}, {way[1]} process{'es' * (way[1] > 1)}"
            tell(f"{encoding}, {samples} a pack, round {number + 1}: {found[-1]['per_s']:,.0f} messages/s {name}; processor "
                 "µs a message: " + ", ".join(f"{part} {used:.1f}" for part, used in found[-1]["cpu_us"].items())
                 + (f"; {found[-1]['batch']:.0f} messages a batch" if "batch" in found[-1] else ""))
    null = medians(runs.pop("null"))
    for way, found in runs.items():
        middle = medians(found)
        visible = measure_visible(stack, *way, encoding, samples, middle["per_s"] / 2, given.seconds)
        tell(f"{encoding}, {samples} a pack, {way[0]}, {way[1]}: visible after {visible['p50']:.0f} ms, p99 {visible['p99']:.0f}, at half that rate")
        yield {"null": null, "start_s": middle["start_s"], "line": {
            "bench": "ingest", "variant": f"{encoding}-{samples}-{way[1]}", "source": way[0], "readings_per_message": samples,
            "stored_per_s": round(middle["per_s"]), "null_per_s": round(null["per_s"]), "ratio": round(middle["per_s"] / null["per_s"], 3),
            "cpu_us": {name: round(used, 2) for name, used in middle["cpu_us"].items()},
            "visible_ms": {name: round(value, 1) for name, value in visible.items()},
            "bytes_per_reading": round(space, 1), "rss_mib": round(middle["rss_mib"], 1)}}
    stack.psql("-c", "TRUNCATE telemetry.measurement")


def report(results, given, load):
    if not given.json:
        print(f"{given.devices:,} devices, {given.trackers:,} connections over mutual TLS, {os.cpu_count()} cores, load before {load:.1f}; "
              f"ingest is ready after {max(r['start_s'] for r in results):.1f} s\n")
        print(f"{'variant':12}{'source':8}{'messages/s':>11}{'readings/s':>11}{'null/s':>9}{'ratio':>7}{'cpu µs:':>9}{'gen':>6}{'broker':>8}"
              f"{'ingest':>8}{'postgres':>9}{'broker of null':>16}{'visible p50':>13}{'p99 ms':>8}{'bytes':>7}{'RSS MiB':>9}")
        for r in results:
            one, used = r["line"], r["line"]["cpu_us"]
            print(f"{one['variant']:12}{one['source']:8}{one['stored_per_s']:>11,}{one['stored_per_s'] * one['readings_per_message']:>11,}"
                  f"{one['null_per_s']:>9,}{one['ratio']:>7.2f}{'':9}{used['generator']:>6.1f}{used['broker']:>8.1f}{used['ingest']:>8.1f}"
                  f"{used['postgres']:>9.1f}{r['null']['cpu_us']['broker']:>16.1f}{one['visible_ms']['p50']:>13.1f}{one['visible_ms']['p99']:>8.1f}"
                  f"{one['bytes_per_reading']:>7.1f}{one['rss_mib']:>9.1f}")
        print()
    for r in results:
        print(json.dumps(r["line"]))


def some_of(names):
    def parse(text):
        if not set(text.split(",")) <= set(names):
            raise argparse.ArgumentTypeError(f"{text}: expected some of {','.join(names)}")
        return text.split(",")

    return parse


def main():
    parser = argparse.ArgumentParser(prog="ops/bench ingest", allow_abbrev=False)
    names = [f"{encoding}-{samples}" for encoding, samples in VARIANTS]
    sources = ["lane-1", "lane-2", "ring-1"]
    parser.add_argument("--devices", type=number(100, 5_000_000), default=1_000_000)
    parser.add_argument("--trackers", type=number(5, 10_000), default=1000)
    parser.add_argument("--messages", type=number(1000, 900_000), default=400_000)
    parser.add_argument("--rounds", type=number(1, 20), default=3)
    parser.add_argument("--seconds", type=number(1, 60), default=20)
    parser.add_argument("--space", type=number(1000, 100_000_000), default=3_000_000)
    parser.add_argument("--variants", type=some_of(names), default=names)
    parser.add_argument("--sources", type=some_of(sources), default=sources)
    parser.add_argument("--active", type=number(1000, 100_000_000))
    parser.add_argument("--rate", type=number(100, 100_000), default=10_000)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    end_in_time(LIMIT, "fewer --rounds, --messages or --variants take less")
    load, results, whole = os.getloadavg()[0], [], False
    try:
        with Stack() as stack:
            stack.start(given)
            for way in ways(given) if given.active else ():
                print(json.dumps(measure_active(stack, given, *way)), flush=True)
            space = {}
            for encoding, samples in () if given.active else VARIANTS:
                if f"{encoding}-{samples}" not in given.variants:
                    continue
                if samples not in space:
                    tell(f"measuring the space of {given.space} readings, {samples} a pack")
                    space[samples] = measure_space(stack, samples, given.space)
                    tell(f"{space[samples]:.1f} bytes a reading")
                results.extend(variant(stack, given, encoding, samples, space[samples]))
            whole = True
    except (Failure, Late) as e:
        tell(e)
    if results:
        report(results, given, load)
    sys.exit(0 if whole else 1)


if __name__ == "__main__":
    main()
