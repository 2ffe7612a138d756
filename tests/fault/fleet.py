# SPDX-License-Identifier: Apache-2.0
"""What the faults happen to: a whole coldfleet on a small file system of its own, with the fault proxy on every way between
its parts, and trackers whose diaries and logs are kept elsewhere."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from commands import insist
from ingest_helpers import Frozen, Ingest
from proxy import Proxy
from stack import BIN, Stack, wait_for

DAEMONS = ("ingest", "bridge", "signer", "api")
DISK_MIB = 2500  # PostgreSQL keeps up to 1 GB of WAL
DEVICES = 20
INTERVAL = 0.5  # seconds between two samples of a tracker
LOSE = 0.1  # share of the messages that a tracker believes acknowledged and that nobody ever gets
HEADERS = 128  # bytes at the beginning of a flash, without which it is no flash


def faketime():
    """Where Debian has the library, or None."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    return found[0] if found else None


def sweep_faketime():
    """What libfaketime shared within processes that were killed: it refuses to work in another one that is given such a number."""
    for left in Path("/dev/shm").glob("*faketime_s*_[0-9]*"):
        if not Path("/proc", left.name.rpartition("_")[2]).exists():
            with contextlib.suppress(OSError):
                left.unlink()


class Disk:
    """A small file system, where this process may mount one; else a folder that cannot be filled."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="coldfleet-fault-", dir="/var/tmp"))
        self.folder.chmod(0o755)
        mount = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m,mode=0755", "none", self.folder], capture_output=True, check=False)
        self.mounted = mount.returncode == 0
        self.filler = self.folder / "filler"

    def fill(self):
        with contextlib.suppress(OSError), open(self.filler, "wb") as f:
            while True:
                f.write(bytes(1 << 16))
                f.flush()

    def free(self):
        self.filler.unlink(missing_ok=True)

    def close(self):
        if self.mounted:
            subprocess.run(["umount", "-l", self.folder], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


class Fleet:
    """With `pair`, two ingest processes share the lanes."""

    def __init__(self, seed, source, pair=False):
        self.disk = Disk()
        self.sockets = Path(tempfile.mkdtemp(prefix="cf-", dir="/tmp"))
        self.sockets.chmod(0o711)
        self.kept = Path(tempfile.mkdtemp(prefix="coldfleet-trackers-", dir="/var/tmp"))
        self.stack = self.proxy = self.trackers = self.second = None
        self.serials = [f"fault-{n:02}" for n in range(DEVICES)]
        self.gone, self.left = set(), set()
        try:
            self.stack = Stack(self.disk.folder / "stack", "--trackers", "0", "--source", source)
            self.stack.enrol(*self.serials)
            self._interpose(seed)
            self._rewire()
            if pair:
                self.start_second()
            self.start_trackers()
        except BaseException:
            self.close(keep=False)
            raise

    # The proxy

    def _interpose(self, seed):
        text = (self.stack.dir / "settings").read_text()
        run_dir = Path(re.search(r"^RUN_DIR=(\S+)$", text, re.MULTILINE).group(1))
        port = int(self.stack.env["COLDFLEET_MQTT_PORT"])
        api = int(self.stack.env["COLDFLEET_API"].rpartition(":")[2])
        self.tracker_port, api_port = port + 7, api + 7
        links = {"trackers": (("127.0.0.1", self.tracker_port), ("127.0.0.1", port)), "api": (("127.0.0.1", api_port), ("127.0.0.1", api))}
        for part in ("ingest", "bridge"):
            links[f"{part}-broker"] = (f"{self.sockets}/{part}.sock", f"{run_dir}/mqtt.sock")
        for part in DAEMONS:
            (self.sockets / part).mkdir()
            links[f"{part}-database"] = (f"{self.sockets}/{part}/.s.PGSQL.5432", f"{run_dir}/postgres/.s.PGSQL.5432")
        self.proxy = Proxy(seed, **links)
        self.stack.env["COLDFLEET_API"] = f"http://127.0.0.1:{api_port}"
        self.run_dir = run_dir

    def _rewire(self):
        """Every daemon takes its ways through the proxy, and its time from a file."""
        path, part, lines = self.stack.dir / "coldfleet.ini", None, []
        for line in path.read_text().splitlines():
            part = line.strip("[]") if line.startswith("[") else part
            line = line.replace(f"host={self.run_dir}/postgres", f"host={self.sockets}/{part}")
            line = line.replace(f"mqtt_host = {self.run_dir}/mqtt.sock", f"mqtt_host = {self.sockets}/{part}.sock\nkeepalive = 5s")
            lines.append(line)
        path.write_text("\n".join(lines) + "\n")
        library = faketime()
        self.wrap = {}
        for part in DAEMONS:
            self.clock(part, 0)
            if library:
                self.wrap[part] = (f"env LD_PRELOAD={library} FAKETIME_TIMESTAMP_FILE={self.sockets}/{part}.clock FAKETIME_CACHE_DURATION=1 "
                                   "FAKETIME_DONT_FAKE_MONOTONIC=1 NO_FAKE_STAT=1")
            self.stack.stop(part)
        for part in DAEMONS:
            self.start(part)

    def clock(self, part, offset):
        (self.sockets / f"{part}.clock.new").write_text(f"{offset:+d}\n")
        (self.sockets / f"{part}.clock.new").rename(self.sockets / f"{part}.clock")

    # Parts

    def start(self, part):
        if part == "trackers":
            self.start_trackers()
            return
        if part == "second":
            self.start_second()
            return
        environ = {"COLDFLEET_WRAP": self.wrap[part]} if part in self.wrap else {}
        said = []

        def started():
            run = self.stack.demo("start", part, check=False, environ=environ)
            said[:] = [run.stdout + run.stderr]
            return run.returncode == 0

        try:
            wait_for(started, 90, f"{part} to start again")
        except AssertionError as e:
            raise AssertionError(f"{e}\n{said[0]}") from None

    def start_second(self):
        self.second = Ingest(self.stack, "ingest.client_id=@second", "ingest.mqtt_username=@ingest").wait_ready()

    def kill(self, part):
        if part == "trackers":
            self.trackers.kill()
            self.trackers.wait(20)
        elif part == "second":
            self.second.kill()
        elif self.stack.alive(part):
            self.stack.kill(part)

    def revive(self):
        """Starts whatever has ended."""
        for part in ("postgres", "broker", *DAEMONS):
            if not self.stack.alive(part):
                self.start(part)

    def frozen(self, part):
        return FrozenTrackers(self.trackers) if part == "trackers" else Frozen(self.stack, part)

    # Trackers

    def _tracker_words(self):
        return ["run", "--serials", self.kept / "serials", "--flash", self.kept / "flash", "--diary", self.kept / "diary", "--epoch", "-2",
                "--port", self.tracker_port, "--interval", INTERVAL, "--start-over", "0.5", "--keepalive", "6", "--resend-after", "3"]

    def start_trackers(self):
        (self.kept / "serials").write_text("".join(f"{serial}\n" for serial in self.serials))
        with open(self.kept / "trackers.log", "ab") as log:
            self.trackers = self.stack.tracker_start(*self._tracker_words(), "--lose", LOSE, stdout=log, stderr=log)

    def lose_flash(self, serials, how):
        """The trackers must be dead. What those had in flash that was not stored may be missing in the end, and nothing else: `gone`."""
        for serial in serials:
            flash = self.kept / "flash" / f"{serial}.flash"
            if not flash.exists():
                continue
            held = self._held(flash)
            self.left.add((serial, held["epoch"]))
            # The last one may be in the diary, and the tracker was killed before it was in flash.
            self.gone |= {(serial, held["epoch"], seq) for seq in (*held["samples"], held["next"])} - self._stored(serial)
            if how == "wiped":
                flash.unlink()
            else:
                with open(flash, "r+b") as f:
                    f.write(bytes(HEADERS))

    def _held(self, flash):
        """By the tracker's own code, what it would have if it were started again; of a copy, which stays."""
        folder = self.kept / "lost"
        folder.mkdir(exist_ok=True)
        copy = folder / f"{flash.stem}-{len(list(folder.iterdir()))}.flash"
        shutil.copyfile(flash, copy)
        run = subprocess.run([BIN / "coldfleet-tracker", "flash", "--file", copy], capture_output=True, text=True, check=True)
        return json.loads(run.stdout)

    def _stored(self, serial):
        query = "SELECT serial, epoch, seq FROM telemetry.reading JOIN fleet.device USING (device_id) WHERE serial = %s"
        return set(insist(self.stack, query, [serial]))

    def asked_in_vain(self):
        """Open gaps in epochs that trackers have left."""
        query = "SELECT serial, epoch, seq_from, asked FROM telemetry.gap JOIN fleet.device USING (device_id) WHERE closed_at IS NULL"
        return [row for row in insist(self.stack, query) if row[:2] in self.left]

    def drain(self, seconds):
        """The trackers measure no more, and end when everything is stored."""
        self.kill("trackers")
        with open(self.kept / "trackers.log", "ab") as log:
            self.trackers = self.stack.tracker_start(*self._tracker_words(), "--duration", "0.1", "--drain", seconds, stdout=log, stderr=log)
        return self.trackers.wait(seconds + 60) == 0

    def acts(self):
        done = []
        for path in sorted((self.kept / "flash").glob("*.acts")):
            done += [(path.stem, json.loads(line)["command_id"]) for line in path.read_text().splitlines()]
        return done

    def close(self, keep):
        """With `keep` the logs, diaries and flash stay; returns where."""
        if self.trackers:
            self.trackers.kill()
            self.trackers.wait()
        if self.second:
            self.second.kill()
        self.disk.free()
        if self.stack:
            for part in ("postgres", "broker", *DAEMONS):
                with contextlib.suppress(OSError):
                    os.kill(self.stack.pid(part), signal.SIGCONT)
            if keep:
                shutil.copytree(self.stack.dir / "log", self.kept / "log")
            self.stack.down()
        sweep_faketime()
        if self.proxy:
            self.proxy.close()
        self.disk.close()
        shutil.rmtree(self.sockets, ignore_errors=True)
        if not keep:
            shutil.rmtree(self.kept, ignore_errors=True)
        return self.kept


class FrozenTrackers:
    def __init__(self, process):
        self.process = process

    def __enter__(self):
        self.process.send_signal(signal.SIGSTOP)

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGCONT)
