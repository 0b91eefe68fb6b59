# SPDX-License-Identifier: Apache-2.0
"""A cache much smaller than what is read through it."""

import threading
import time

from .client import EdgeClient
from .content import MIB, Content
from .readings import Readings
from .report import size
from .system import join_all, start_threads, stop_threads

CLIENT_COUNT = 16
WATCH_SECONDS = 0.1
# What a folder may seem to hold besides the bytes that the cache counts: maps, trailers, and the allocation unit of the
# file system; and one blob, for while the files are looked at, one goes and another one comes.
OTHER_BYTES_MAX = 16 * MIB
RUN_SECONDS_MAX = 900


class Form:
    """How large a run is. Blobs: `sizes`, and some `large_sizes` that are larger than the whole cache."""

    def __init__(self, cache_bytes_max, sizes, large_sizes, request_count):
        self.cache_bytes_max, self.sizes, self.large_sizes = cache_bytes_max, sizes, large_sizes
        self.request_count = request_count


def sizes(random, total_bytes, byte_count_min, byte_count_max):
    """Sizes of blobs that are together so large: many small ones, few large ones."""
    found = []
    while sum(found) < total_bytes:
        share = random.random() ** 2.5
        found.append(int(byte_count_min + share * (byte_count_max - byte_count_min)))
    return found


LONG = Form(256 * MIB, sizes(Content("pressure sizes").random, 1024 * MIB, MIB, 100 * MIB), [300 * MIB], 2000)
SHORT = Form(64 * MIB, sizes(Content("pressure sizes").random, 256 * MIB, MIB, 25 * MIB), [80 * MIB], 250)


class Pressure:
    """Clients that read blobs as often as the most popular ones of a registry are read: the nth 1/n times the first."""

    def __init__(self, system, report, form, seed):
        self._system, self._report, self._form, self._seed = system, report, form, seed
        content = Content(f"{seed}/pressure")
        self._blobs = [content.blob(byte_count) for byte_count in form.sizes + form.large_sizes]
        content.random.shuffle(self._blobs)
        self._weights = [1 / rank for rank in range(1, len(self._blobs) + 1)]
        self._lock, self._stopping = threading.Lock(), threading.Event()
        self._left, self._readings = form.request_count, Readings(system, report)
        self._used_bytes_max = self._folder_bytes_max = 0

    def run(self):
        """Returns whether nothing was violated."""
        began = time.monotonic()
        self._system.push(self._blobs)
        origin_before = self._system.origin_bytes()
        watcher = start_threads(1, self._watch, self._report)
        clients = start_threads(CLIENT_COUNT, self._read, self._report)
        try:
            join_all(clients, RUN_SECONDS_MAX)
        finally:
            stop_threads(clients + watcher, self._stopping)
        fetched = self._system.origin_bytes() - origin_before
        total = sum(blob.size for blob in self._blobs)
        limit = self._form.cache_bytes_max
        self._report.demand(self._readings.answer_count == self._form.request_count,
                            f"{self._readings.answer_count} requests of {self._form.request_count} came to an end")
        self._report.demand(self._used_bytes_max <= limit, f"the cache used {self._used_bytes_max} bytes of {limit}")
        self._report.demand(self._folder_bytes_max <= limit + OTHER_BYTES_MAX + max(self._form.sizes),
                            f"the cache's folder took {self._folder_bytes_max} bytes, the maximum is {limit}")
        self._report.demand(self._used_bytes_max > limit / 2, f"the cache used {self._used_bytes_max} bytes only")
        return self._report.finish(
            f"cache of {size(limit)}, {len(self._blobs)} blobs of {size(total)} in all, seed {self._seed}; "
            f"{self._readings}, {size(fetched)} fetched: byte hit ratio "
            f"{1 - fetched / max(1, self._readings.byte_count):.1%}; used {size(self._used_bytes_max)} at most, the "
            f"folder {size(self._folder_bytes_max)}", began, time.monotonic())

    def _read(self, number):
        random = Content(f"{self._seed}/pressure/{number}").random
        client = EdgeClient()
        while not self._stopping.is_set() and self._take_turn():
            blob = random.choices(self._blobs, self._weights)[0]
            self._readings.read(client, blob)
        client.close()

    def _take_turn(self):
        with self._lock:
            self._left -= 1
            return self._left >= 0

    def _watch(self, _):
        while not self._stopping.wait(WATCH_SECONDS):
            self._used_bytes_max = max(self._used_bytes_max, self._system.metric("depot_edge_cache_used_bytes"))
            self._folder_bytes_max = max(self._folder_bytes_max, folder_bytes(self._system.cache))


def folder_bytes(folder):
    """Bytes that the blobs' files below the cache's folder occupy on the disk."""
    total = 0
    for path in folder.glob("[cp]/*/*"):
        try:
            total += path.stat().st_blocks * 512
        except FileNotFoundError:
            pass  # Evicted meanwhile.
    return total
