# SPDX-License-Identifier: Apache-2.0
"""Cache files that change behind the edge's back, while it serves."""

import contextlib
import os
import threading
import time

from ..console import Failure
from .cached import KINDS, Cached, Damage
from .client import Answer, EdgeClient, Ending
from .content import KIB, MIB, PIECE_BYTES, Content
from .readings import Readings
from .report import size
from .system import start_threads, stop_threads

CLIENT_COUNT = 3
COMPLETE_SIZES = (300 * KIB, MIB, MIB + 1, 2 * MIB + 4097, 3 * MIB, 5 * MIB + 99, 8 * MIB, 9 * MIB + 77, 12 * MIB + 1,
                  16 * MIB, 20 * MIB + 1000, 24 * MIB + 5)
PARTIAL_SIZES = (96 * MIB, 120 * MIB + 333)
PARTIAL_RANGES = ((0, 3 * MIB), (40 * MIB + 17, 46 * MIB), (80 * MIB, 84 * MIB + 1))
PARTIAL_PIECES_MIN = 4
PARTIAL_SHARE = 0.25  # Of the damages, in blobs of which the edge has a part.
FRESH_SHARE = 0.15  # Of the damages in whole blobs, right after the last byte was fetched.
RUNNING_SIZES = (48 * MIB, 64 * MIB + 1)
RUNNING_BYTES_PER_SECOND = 150_000_000
RUNNING_READERS = 4
RUNNING_PAUSE_SECONDS_MAX = 0.3
HEAL_SECONDS_MAX = 15
QUIET_SECONDS, QUIET_SECONDS_MAX = 0.4, 20
REFETCHED_MAX = 1.3  # Bytes fetched again for each byte of a damaged piece.
# What the kernel may hold for a client that was checked and is not yet compared: its send buffer, the limited receive
# buffer, one window, and the client's own.
RECEIVE_BUFFER_BYTES = 256 * KIB
IN_FLIGHT_BYTES_MAX = 8 * MIB


class Corruptions:
    """One mode of changing files: "cold" (synced, pages dropped) or "warm", between the requests for the same blob.

    A change while its very pages are on their way to a socket is not stopped by any server that sends from the page
    cache, so a blob is not read while its file is changed. All others are, and each request that comes after the change
    counts. `Running` is for the other case.
    """

    def __init__(self, system, report, count, seed, is_cold):
        self._system, self._report, self._count, self._seed, self._is_cold = system, report, count, seed, is_cold
        self._content = Content(f"{seed}/{report.mode}")
        self._random = self._content.random
        self._files = [_File(system.cache, self._content.blob(byte_count), False) for byte_count in COMPLETE_SIZES]
        self._files += [_File(system.cache, self._content.blob(byte_count), True) for byte_count in PARTIAL_SIZES]
        self._client, self._stopping = EdgeClient(), threading.Event()
        self._readings = Readings(system, report)
        self._healed = self._fresh = 0
        self._damaged_bytes = dict.fromkeys(KINDS, 0)
        self._refetched_bytes = dict.fromkeys(KINDS, 0)
        self._counts = dict.fromkeys(KINDS, 0)

    def run(self):
        """Returns whether nothing was violated."""
        began = time.monotonic()
        self._system.push([file.blob for file in self._files])
        for file in self._files:
            self._fill(file)
        before = self._metrics()
        threads = start_threads(CLIENT_COUNT, self._load, self._report)
        try:
            while sum(self._counts.values()) < self._count and self._report.is_good:
                self._one_damage()
        finally:
            stop_threads(threads, self._stopping)
        for file in self._files:
            self._check_file(file)
        after = self._metrics()
        return self._finish({name: after[name] - before[name] for name in after}, began)

    # Filling

    def _fill(self, file):
        """Brings the blob, or the parts of it that are wanted, into the cache."""
        for start, end in PARTIAL_RANGES if file.is_partial else ((0, file.blob.size),):
            self._readings.read(self._client, file.blob, start, end)
        if not file.is_partial:
            self._wait(f"{file.blob} is not complete", lambda: file.cached.is_complete)
        self._wait_quiet(file)

    def _wait_quiet(self, file):
        """Until nothing arrives any more for this blob: read-ahead goes on for a while after a client."""
        state = {"present": None, "since": 0.0}

        def is_quiet():
            present = file.cached.present()
            if present != state["present"]:
                state.update(present=present, since=time.monotonic())
            return time.monotonic() - state["since"] > QUIET_SECONDS
        self._wait(f"{file.blob} is still being filled", is_quiet)

    def _wait(self, what, condition):
        deadline = time.monotonic() + QUIET_SECONDS_MAX
        while not condition():
            if time.monotonic() > deadline:
                raise Failure(f"{what} after {QUIET_SECONDS_MAX} s")
            time.sleep(0.01)

    # Load

    def _load(self, number):
        random = Content(f"{self._seed}/{self._report.mode}/{number}").random
        client = EdgeClient()
        while not self._stopping.is_set():
            file = random.choice(self._files)
            with file.reading():
                start, end = self._some_range(file, random)
                if end > start:
                    self._readings.read(client, file.blob, start, end)
        client.close()

    @staticmethod
    def _some_range(file, random):
        """A range that is in the cache: the load is to hit, so that what is fetched again is seen for what it is."""
        if not file.is_partial:
            if random.random() < 0.5:
                return 0, file.blob.size
            start = random.randrange(file.blob.size)
            return start, random.randrange(start, file.blob.size) + 1
        present = file.cached.present()
        if not present:
            return 0, 0
        start, end = file.blob.piece_range(random.choice(present))
        start = random.randrange(start, end)
        return start, random.randrange(start, end) + 1

    # Damage

    def _one_damage(self):
        is_partial = self._random.random() < PARTIAL_SHARE
        file = self._random.choice([file for file in self._files if file.is_partial == is_partial])
        kind = self._random.choice(KINDS)
        with file.changing():
            if not is_partial and self._random.random() < FRESH_SHARE:
                self._fetch_again(file)
            carried_before = self._system.relay.carried_bytes
            present = file.cached.present()
            if len(present) < (PARTIAL_PIECES_MIN if is_partial else file.blob.piece_count):
                # A truncated file was dropped, and only a part of it fetched again since.
                self._fill(file)
                return
            damage = Damage(kind, file.cached, present, self._random)
            if not damage.inflict(self._is_cold):
                self._report.violation(f"the file of {file.blob} is gone")
                return
        for start, end in self._ranges_to_read(file, damage):
            self._readings.read(self._client, file.blob, start, end)
        if not self._is_healed(file, damage):
            self._report.violation(f"{damage}: not healed within {HEAL_SECONDS_MAX} s")
            return
        self._counts[kind] += 1
        lost = present if damage.is_truncation else damage.pieces
        self._damaged_bytes[kind] += sum(end - start for start, end in map(file.blob.piece_range, lost))
        if is_partial and damage.is_truncation:
            self._fill(file)
        self._refetched_bytes[kind] += self._system.relay.carried_bytes - carried_before

    def _fetch_again(self, file):
        """So that what comes next meets a file that the edge is about to sync and to rename."""
        descriptor = file.cached.open()
        if descriptor is not None:
            os.ftruncate(descriptor, 0)
            os.close(descriptor)
        self._fresh += 1
        self._readings.read(self._client, file.blob)

    def _ranges_to_read(self, file, damage):
        """What brings every damaged piece to light: the whole blob, or runs of pieces."""
        if not file.is_partial and (damage.is_truncation or self._random.random() < 0.5):
            return [(0, file.blob.size)]
        runs = []
        for piece in sorted(damage.pieces):
            if runs and runs[-1][1] == piece:
                runs[-1][1] = piece + 1
            else:
                runs.append([piece, piece + 1])
        return [(first * PIECE_BYTES, min(end * PIECE_BYTES, file.blob.size)) for first, end in runs]

    def _is_healed(self, file, damage):
        """Whether the file itself is right again, soon. A partial one that was cut short is begun anew."""
        deadline = time.monotonic() + HEAL_SECONDS_MAX
        while not file.cached.is_right(damage.pieces):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.005)
        self._healed += 1
        return True

    def _check_file(self, file):
        present = file.cached.present()
        self._report.demand(file.cached.is_right(present), f"in the end the cache's file of {file.blob} is wrong")

    # Telling

    def _metrics(self):
        metric = self._system.metric
        return {
            "hits": metric("depot_edge_hits_total"), "misses": metric("depot_edge_misses_total"),
            "noticed": metric("depot_edge_piece_mismatch_total", source="disk"),
            "dropped": metric("depot_edge_damaged_files_total"),
        }

    def _finish(self, metrics, began):
        refetched, damaged = ({True: 0, False: 0} for _ in range(2))
        for kind in KINDS:
            refetched[kind == "truncation"] += self._refetched_bytes[kind]
            damaged[kind == "truncation"] += self._damaged_bytes[kind]
        share = refetched[False] / max(1, damaged[False])
        self._report.demand(share <= REFETCHED_MAX, f"{share:.2f} bytes were fetched for each one of a damaged piece")
        total = sum(self._counts.values())
        self._report.demand(total == self._healed and total > 0, f"{total - self._healed} damages were not healed")
        hits = metrics["hits"] / max(1, metrics["hits"] + metrics["misses"])
        kinds = ", ".join(f"{count} {kind}" for kind, count in self._counts.items())
        return self._report.finish(
            f"{total} damages ({kinds}), {self._fresh} of them to fresh files, seed {self._seed}, {self._healed} "
            f"healed; {self._readings}, {hits:.1%} hits; the edge noticed {metrics['noticed']} wrong "
            f"pieces and {metrics['dropped']} wrong files, and fetched {share:.2f} bytes for each one of a damaged "
            f"piece, {refetched[True] / max(1, damaged[True]):.2f} of a truncated file", began, time.monotonic())


class _File:
    """A blob's file, which is not changed while somebody reads the blob."""

    def __init__(self, cache, blob, is_partial):
        self.blob, self.is_partial, self.cached = blob, is_partial, Cached(cache, blob)
        self._changed = threading.Condition()
        self._readers, self._is_changing = 0, False

    @contextlib.contextmanager
    def reading(self):
        with self._changed:
            self._changed.wait_for(lambda: not self._is_changing)
            self._readers += 1
        try:
            yield
        finally:
            with self._changed:
                self._readers -= 1
                self._changed.notify_all()

    @contextlib.contextmanager
    def changing(self):
        with self._changed:
            self._is_changing = True
            self._changed.wait_for(lambda: self._readers == 0)
        try:
            yield
        finally:
            with self._changed:
                self._is_changing = False
                self._changed.notify_all()


class Running:
    """Changes of files at any moment of the transfers from them.

    A page that was checked and lies in a socket's buffer is still the page of the file: what is written to it then is
    what the client gets. So wrong bytes count as a violation where they cannot have been on their way: in answers that
    began after the change, and farther behind the client than all buffers hold. The others are counted and told.
    """

    def __init__(self, system, report, count, seed):
        self._system, self._report, self._count, self._seed = system, report, count, seed
        self._content = Content(f"{seed}/{report.mode}")
        self._random = self._content.random
        self._blobs = [self._content.blob(byte_count) for byte_count in RUNNING_SIZES]
        self._stopping, self._lock = threading.Event(), threading.Lock()
        self._active = {}  # Answers that run, each with the changes that may be in it: (piece, first offset, end).
        self._answers = self._ended_early = self._compared_bytes = 0
        self._wrong_answers = self._wrong_pages = 0
        self._damages = 0

    def run(self):
        """Returns whether nothing was violated."""
        began = time.monotonic()
        self._system.push(self._blobs)
        client = EdgeClient()
        for blob in self._blobs:
            self._read_whole(client, blob, "before the first change")
        threads = start_threads(RUNNING_READERS, self._load, self._report)
        try:
            while self._damages < self._count and self._report.is_good:
                self._one_damage()
        finally:
            stop_threads(threads, self._stopping)
        for blob in self._blobs:
            self._read_whole(client, blob, "after the last change")
            cached = Cached(self._system.cache, blob)
            deadline = time.monotonic() + HEAL_SECONDS_MAX
            while not cached.is_right(range(blob.piece_count)):
                if time.monotonic() > deadline:
                    self._report.violation(f"the cache's file of {blob} is not healed")
                    break
                time.sleep(0.01)
        client.close()
        return self._report.finish(
            f"{self._damages} damages, seed {self._seed}; {self._answers} answers, {size(self._compared_bytes)} "
            f"compared, {self._wrong_answers} of them with {self._wrong_pages} pages in all that changed while on "
            f"their way, {self._ended_early} ended early", began, time.monotonic())

    def _read_whole(self, client, blob, when):
        answer = client.get(self._system.link(blob), Answer(blob, 0, blob.size))
        self._report.demand(answer.is_good, f"{when}: {answer}")

    def _load(self, number):
        random = Content(f"{self._seed}/{self._report.mode}/{number}").random
        client = EdgeClient(RECEIVE_BUFFER_BYTES)
        while not self._stopping.is_set():
            blob = random.choice(self._blobs)
            start = random.choice((0, random.randrange(blob.size)))
            answer = Answer(blob, start, blob.size)
            with self._lock:
                self._active[answer] = []
            client.get(self._system.link(blob), answer, bytes_per_second=RUNNING_BYTES_PER_SECOND)
            with self._lock:
                changes = self._active.pop(answer)
                self._judge(answer, changes)
        client.close()

    def _judge(self, answer, changes):
        """Under the lock."""
        self._answers += 1
        self._compared_bytes += answer.received
        if answer.ending in (Ending.FIN, Ending.RESET) and changes:
            self._ended_early += 1
        elif answer.ending is not Ending.COMPLETE:
            self._report.violation(str(answer))
        unexcused = [page for page in answer.wrong_pages if not any(
            page // PIECE_BYTES == piece and begin <= page < end for piece, begin, end in changes)]
        if unexcused:
            self._report.violation(f"{len(unexcused)} pages from {unexcused[0]} on were not on their way: {answer}")
        elif answer.wrong_pages:
            self._wrong_answers += 1
            self._wrong_pages += len(answer.wrong_pages)

    def _one_damage(self):
        blob = self._random.choice(self._blobs)
        cached = Cached(self._system.cache, blob)
        present = cached.present()
        if not present:
            time.sleep(0.005)
            return
        time.sleep(self._random.uniform(0, RUNNING_PAUSE_SECONDS_MAX))
        damage = Damage(self._random.choice(KINDS), cached, present, self._random)
        with self._lock:
            running = {answer: answer.position for answer in self._active if answer.blob is blob}
        if not damage.inflict(is_cold=self._random.random() < 0.2, is_undisturbed=False):
            return
        with self._lock:
            self._damages += 1
            # One that began meanwhile may have met the change in the middle of it.
            for answer in self._active:
                if answer.blob is not blob:
                    continue
                begin = running.get(answer, answer.start) - MIB
                end = answer.position + IN_FLIGHT_BYTES_MAX
                self._active[answer] += [(piece, begin, end) for piece in damage.pieces]
