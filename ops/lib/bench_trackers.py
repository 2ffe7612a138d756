# SPDX-License-Identifier: Apache-2.0
"""A private coldfleet with a fleet of connected trackers, for benchmarks that need one."""

import contextlib
import http.client
import os
import resource
import subprocess
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

from bench import ROOT, Failure, Private, end, tell

SPARE_FILES = 250  # descriptors of the broker beside those of the trackers
CONNECTS = 150     # a second; TLS costs tracker and broker 7 ms together


class Trackers(Private):
    def up(self, *words):
        tell("building, then starting all of it")
        super().up(*words)
        self.bin = ROOT / "build" / os.environ.get("COLDFLEET_PRESET", "release") / "bin"
        self.certs = Path(self.env["COLDFLEET_CERTS"])
        self.processes = []

    def __exit__(self, *failure):
        for process in getattr(self, "processes", []):
            end(process)
        super().__exit__(*failure)

    def enrol(self, prefix, count):
        tell(f"enrolling {count} trackers {prefix}*")
        minted = self.dir / f"{prefix}minted.tsv"
        with open(minted, "wb") as out:
            subprocess.run([self.bin / "coldfleet-tracker", "mint", "--dir", self.certs, "--prefix", prefix, "--count", str(count)],
                           stdout=out, check=True, start_new_session=True)
        with open(minted, "rb") as listed:
            self.psql("-f", ROOT / "ops/lib/enrol.sql", stdin=listed)

    def spawn(self, *words):
        """coldfleet-tracker in the background, its words in a log."""
        with open(self.dir / "log" / "bench-trackers.log", "ab") as log:
            process = subprocess.Popen([self.bin / "coldfleet-tracker", *map(str, words)], stdin=subprocess.DEVNULL, stdout=log,
                                       stderr=log, start_new_session=True, env={**os.environ, **self.env})
        self.processes.append(process)
        return process

    def check_alive(self):
        if any(process.poll() is not None for process in self.processes):
            raise Failure(f"trackers ended early: {(self.dir / 'log' / 'bench-trackers.log').read_text()[-500:]}")

    def connect(self, prefix, trackers, interval):
        """In as many processes as the limit on open files asks for: a tracker has three."""
        began = time.monotonic()
        serials = [f"{prefix}{n:05}" for n in range(1, trackers + 1)]
        each = (resource.getrlimit(resource.RLIMIT_NOFILE)[1] - SPARE_FILES) // 3
        processes = max(2, -(-trackers // each))
        for name in range(processes):
            path = self.dir / f"trackers-{name}.serials"
            path.write_text("\n".join(serials[name::processes]) + "\n")
            self.spawn("run", "--serials", path, "--interval", interval, "--start-over", max(1, trackers // CONNECTS))
        tell(f"connecting {trackers} trackers")
        self.await_heard(prefix, trackers, "-infinity")
        tell(f"all are there, after {time.monotonic() - began:.0f} s")

    def await_heard(self, prefix, trackers, since):
        """Until each of them has said what it is, which it does at each connect, after that moment."""
        last = 0
        while (heard := int(self.psql("-c", "SELECT count(*) FROM telemetry.device_status JOIN fleet.device USING (device_id) "
                                            f"WHERE serial LIKE '{prefix}%' AND received_at > '{since}'"))) < trackers:
            if heard // 5000 > last // 5000:
                tell(f"{heard} are there")
            last = heard
            self.check_alive()
            time.sleep(0.5)

    def parts(self):
        """Process ids of the daemons and the broker by name."""
        return {path.stem: int(path.read_text().split()[0]) for path in (self.dir / "run").glob("*.pid")}

    def cpu(self):
        """Seconds of processor time that each part of it has used so far: daemons, broker, PostgreSQL's processes, trackers."""
        part = {pid: name for name, pid in self.parts().items()}
        part.update({process.pid: "trackers" for process in self.processes})
        seconds = Counter()
        for entry in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                field = entry.read_text().rpartition(") ")[2].split()
                name = part.get(int(entry.parent.name)) or part.get(int(field[1]))
                if name:
                    seconds[name] += (int(field[11]) + int(field[12])) / os.sysconf("SC_CLK_TCK")
        return seconds


def memory(pid, what):
    """VmRSS or VmHWM of a process, in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(what):
            return round(int(line.split()[1]) / 1024, 1)
    raise Failure(f"/proc/{pid}/status has no {what}")


def missing(stack, prefix):
    """Samples between the first and the last of each tracker that are not stored, and trackers that sent none."""
    return tuple(map(int, stack.psql("-F", " ", "-c", f"""
        SELECT coalesce(sum(last - first + 1 - many), 0), count(*) FILTER (WHERE many IS NULL) FROM fleet.device LEFT JOIN (
            SELECT serial, epoch, min(seq) AS first, max(seq) AS last, count(DISTINCT seq) AS many FROM telemetry.reading
            JOIN fleet.device USING (device_id) GROUP BY 1, 2) AS r USING (serial) WHERE serial LIKE '{prefix}%'""").split()))


def ingested(stack, what="messages"):
    """Messages or readings that ingest has committed, by its own count."""
    at = urlsplit(stack.env["COLDFLEET_METRICS_INGEST"])
    with contextlib.closing(http.client.HTTPConnection(at.netloc, timeout=20)) as connection:
        connection.request("GET", at.path)
        text = connection.getresponse().read().decode()
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"coldfleet_ingest_{what}_total "))


def rank(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else None


def quantiles(values):
    return {"p50": rank(values, 0.5), "p99": rank(values, 0.99)}


def trackers_at_most(trackers, others=0):
    """The broker has a descriptor for each tracker, and for some others. Raises the limit, or says how many trackers it lets us have."""
    wanted = trackers + others + SPARE_FILES
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(wanted, 1024)), hard))
    if hard < wanted:
        trackers = hard - others - SPARE_FILES
        tell(f"at most {hard} open files are allowed here (ulimit -Hn): {trackers} trackers")
    return trackers
