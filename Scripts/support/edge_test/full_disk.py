# SPDX-License-Identifier: Apache-2.0
"""A cache on a disk that is full: of itself, and of somebody else's files."""

import errno
import os
import subprocess
import threading
import time

from ..console import Failure, say
from .cached import Cached
from .client import EdgeClient
from .content import MIB, Content
from .readings import Readings
from .report import size
from .system import start_threads, stop_threads

CLIENT_COUNT = 8
CACHE_BYTES_MAX = 4096 * MIB  # More than the disk has, so that only the disk itself says when it is full.
WAIT_SECONDS_MAX = 30
MISSED_MAX = 0.95  # Bytes fetched for each byte sent while the cache fills its disk.
_BALLAST_BYTES = 256 << 10
_MOUNT_SECONDS_MAX = 10


class Form:
    """How large a run is.

    - few, others: sizes of blobs that have room beside each other.
    - many: sizes of what does not fit, even without the others.
    """

    def __init__(self, disk_bytes, few, others, many, phase_seconds):
        self.disk_bytes, self.few, self.others, self.many = disk_bytes, few, others, many
        self.phase_seconds = phase_seconds


def _sizes(*mebibytes):
    return [count * MIB + 77 for count in mebibytes]


LONG = Form(256 * MIB, _sizes(1, 2, 5, 13, 34), _sizes(1, 3, 8, 21, 34), _sizes(55, 89, 144, 233, 300), 20)
SHORT = Form(64 * MIB, _sizes(1, 2, 5, 8), _sizes(1, 3, 13), _sizes(21, 34, 55, 80), 4)
# Nothing is kept free, so that the edge meets ENOSPC itself.
SETTINGS = {"DEPOT_CACHE_BYTES_MAX": str(CACHE_BYTES_MAX), "DEPOT_DISK_RESERVE_BYTES": "0"}


class Disk:
    """A tmpfs of limited size where the edge keeps its cache. Needs root."""

    def __init__(self, folder, byte_count):
        if os.geteuid() != 0:
            raise Failure("full-disk mounts a file system of limited size: run it as root")
        self.folder, self._byte_count = folder, byte_count

    def __enter__(self):
        self.folder.mkdir(parents=True)
        _run("mount", "-t", "tmpfs", "-o", f"size={self._byte_count},mode=0700", "depot-edge-test", self.folder)
        return self

    def __exit__(self, *_):
        # Lazily: whoever still has a file of it open does not keep it in the tree.
        _run("umount", "--lazy", self.folder)

    @property
    def free_bytes(self):
        status = os.statvfs(self.folder)
        return status.f_bavail * status.f_frsize


def _run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=_MOUNT_SECONDS_MAX)
    if done.returncode != 0:
        raise Failure(f"{command[0]}: {done.stderr.strip()}")


class FullDisk:
    """Under load: some blobs are cached, somebody else takes the rest of the disk, gives it back, and in the end the
    cache itself fills it."""

    def __init__(self, system, disk, report, form, seed):
        self._system, self._disk, self._report, self._form, self._seed = system, disk, report, form, seed
        content = Content(f"{seed}/full disk")
        self._few, self._others, self._many = (
            [content.blob(byte_count) for byte_count in sizes] for sizes in (form.few, form.others, form.many))
        self._wanted = self._few
        self._stopping, self._readings = threading.Event(), Readings(system, report)

    def run(self):
        """Returns whether nothing was violated."""
        began = time.monotonic()
        self._system.push(self._few + self._others + self._many)
        threads = start_threads(CLIENT_COUNT, self._read, self._report)
        try:
            figures = self._phases()
        finally:
            stop_threads(threads, self._stopping)
        self._report.demand(self._system.is_edge_alive, f"the edge ended, see {self._system.edge_log}")
        return self._report.finish(
            f"disk of {size(self._form.disk_bytes)}, cache maximum {size(CACHE_BYTES_MAX)}, seed {self._seed}; "
            f"{self._readings}; {figures}", began, time.monotonic())

    def _phases(self):
        self._wait_cached("at first", self._few)
        say("somebody else fills the disk")
        ballast = _Ballast(self._disk.folder / "ballast")
        try:
            ballast.start()
            self._wait_full()
            self._wanted = self._few + self._others
            passed_before = self._passed_pieces()
            time.sleep(self._form.phase_seconds)
            passed = self._passed_pieces() - passed_before
            self._report.demand(passed > 0, "no piece passed through from memory while the disk was full")
        finally:
            ballast.remove()
        say("the disk has room again")
        resumed_after = self._wait_cached("after the disk had room again", self._few + self._others)
        say("the cache fills the disk")
        self._wanted = self._few + self._others + self._many
        origin_before, compared_before = self._system.origin_bytes(), self._readings.byte_count
        self._wait_full()
        time.sleep(self._form.phase_seconds)
        fetched = self._system.origin_bytes() - origin_before
        compared = self._readings.byte_count - compared_before
        # Who passes everything through is not a cache any more. How much more than that depends on the blobs.
        self._report.demand(fetched < MISSED_MAX * compared, f"{fetched} bytes were fetched for {compared} compared")
        return (f"{size(ballast.byte_count)} taken by somebody else, {passed} pieces passed through meanwhile, all "
                f"cached {resumed_after:.1f} s after the disk had room; full of itself: byte hit ratio "
                f"{1 - fetched / max(1, compared):.1%}")

    def _passed_pieces(self):
        return self._system.metric("depot_edge_passed_through_pieces_total")

    def _wait_cached(self, when, blobs):
        """Until the clients have brought all of these into the cache. Returns how long that took."""
        files = [Cached(self._system.cache, blob) for blob in blobs]
        return self._wait(lambda: "; ".join(
            f"{when} the cache has {len(file.present())} of {file.blob.piece_count} pieces of {file.blob}"
            for file in files if not file.is_complete))

    def _wait_full(self):
        self._wait(lambda: "" if self._disk.free_bytes < MIB else f"the disk still has {self._disk.free_bytes} bytes")

    def _wait(self, what_is_missing):
        """Seconds until nothing is missing any more; that something always is is a violation."""
        began = time.monotonic()
        while missing := what_is_missing():
            if time.monotonic() - began > WAIT_SECONDS_MAX:
                self._report.violation(f"after {WAIT_SECONDS_MAX} s: {missing}")
                break
            time.sleep(0.005)
        return time.monotonic() - began

    def _read(self, number):
        random = Content(f"{self._seed}/full disk/{number}").random
        client = EdgeClient()
        while not self._stopping.is_set():
            blob = random.choice(self._wanted)
            start, end = 0, blob.size
            if random.random() < 0.4:
                start = random.randrange(blob.size)
                end = min(blob.size, start + random.randrange(1, 8 * MIB))
            self._readings.read(client, blob, start, end)
        client.close()


class _Ballast:
    """A file that takes whatever is free, as soon as it is."""

    def __init__(self, path):
        self._path, self._stopping = path, threading.Event()
        self._thread = threading.Thread(target=self._grow, daemon=True)
        self.byte_count = 0

    def start(self):
        self._thread.start()

    def remove(self):
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(10)
        self._path.unlink(missing_ok=True)

    def _grow(self):
        data = os.urandom(_BALLAST_BYTES)
        with open(self._path, "wb", buffering=0) as file:
            while not self._stopping.is_set():
                try:
                    self.byte_count += file.write(data)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    time.sleep(0.001)
