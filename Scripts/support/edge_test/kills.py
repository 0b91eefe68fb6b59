# SPDX-License-Identifier: Apache-2.0
"""kill -9 of an edge while it fills and serves, again and again, on the same cache directory."""

import collections
import shutil
import threading
import time

from .cached import Cached
from .client import Answer, EdgeClient, Ending
from .content import KIB, MIB, Content
from .report import size
from .system import start_threads, stop_threads

CLIENT_COUNT = 8
PATH_BYTES_PER_SECOND = 60_000_000  # Slow enough that a kill finds fills in the middle.
LIFE_BYTES_MIN, LIFE_BYTES_MAX = MIB, 128 * MIB  # That a life of the edge fetches before it is killed.
LIFE_SECONDS_MAX = 5.0
START_SECONDS_MAX = 0.1  # A start that is itself killed gets so long at most.
PULL_SECONDS_MAX = 120
REUSE_MIN = 0.90
SIZES = (
    300 * KIB, MIB, 2 * MIB + 1, 3 * MIB + 77, 5 * MIB, 8 * MIB, 8 * MIB + 1, 13 * MIB + 5, 21 * MIB, 34 * MIB + 9,
    55 * MIB, 89 * MIB + 123, 144 * MIB, 233 * MIB + 1,
)


class Kills:
    """One run against one system."""

    def __init__(self, system, report, count, seed, sizes=SIZES):
        self._system, self._report, self._count, self._seed = system, report, count, seed
        self._content = Content(f"{seed}/kills")
        self._random = self._content.random
        self._blobs = [self._content.blob(byte_count) for byte_count in sizes]
        self._cached = [Cached(system.cache, blob) for blob in self._blobs]
        self._lives = _Lives()
        self._stopping = threading.Event()
        self._clients = [_Client(number, self) for number in range(CLIENT_COUNT)]
        self._kills = self._cut_fills = 0
        self._rounds = 1
        self._fetched = _Fetched(system.relay)
        self._start_seconds = []

    def run(self):
        """Returns whether nothing was violated."""
        began = time.monotonic()
        self._system.push(self._blobs)
        for blob in self._blobs:
            self._system.link(blob)
        threads = start_threads(CLIENT_COUNT, lambda number: self._clients[number].run(), self._report)
        try:
            while self._kills < self._count and self._report.is_good:
                self._one_kill()
        finally:
            stop_threads(threads, self._stopping, PULL_SECONDS_MAX)
        self._read_all()
        self._fetched.ends_round()
        return self._finish(began)

    # Deaths

    def _one_kill(self):
        """Some traffic, a kill, a restart."""
        is_complete = self._wait_for_traffic()
        self._lives.ends()
        was_alive = self._system.kill_edge()
        self._report.demand(was_alive, f"the edge ended by itself, see {self._system.edge_log}")
        self._kills += 1
        self._cut_fills += any(cached.present() and not cached.is_complete for cached in self._cached)
        self._fetched.died(self._cached)
        if is_complete:
            self._lose_cache()
        if self._random.random() < 0.07:
            self._system.launch_edge()
            time.sleep(self._random.uniform(0, START_SECONDS_MAX))
            self._system.kill_edge()
            self._kills += 1
        began = time.monotonic()
        self._system.launch_edge()
        self._system.wait_listening()
        self._start_seconds.append(time.monotonic() - began)
        self._lives.begins()

    def _wait_for_traffic(self):
        """Until this life has fetched so much, or for some time. Returns whether all blobs are complete."""
        wanted = self._system.relay.carried_bytes + self._random.randrange(LIFE_BYTES_MIN, LIFE_BYTES_MAX)
        deadline = time.monotonic() + LIFE_SECONDS_MAX
        while self._system.relay.carried_bytes < wanted and time.monotonic() < deadline:
            if all(cached.is_complete for cached in self._cached):
                return True
            time.sleep(0.005)
        return False

    def _lose_cache(self):
        """All blobs go while the edge is dead, so that there is something to fill again."""
        self._fetched.ends_round()
        self._rounds += 1
        for folder in ("c", "p"):
            shutil.rmtree(self._system.cache / folder, ignore_errors=True)

    def _read_all(self):
        """Every blob once more, while nobody dies; then the files themselves."""
        client = EdgeClient()
        for blob, cached in zip(self._blobs, self._cached):
            answer = client.get(self._system.link(blob), Answer(blob, 0, blob.size))
            self._report.demand(answer.is_good, f"after the last kill: {answer}")
            self._report.demand(cached.is_right(cached.present()), f"the cache's file of {blob} is wrong")
        client.close()

    def _finish(self, began):
        fetched = self._fetched
        self._report.demand(fetched.kept > 0, "no kill found pieces of an unfinished blob")
        self._report.demand(fetched.reuse >= REUSE_MIN, f"of the kept pieces only {fetched.reuse:.1%} were used again")
        self._report.demand(fetched.once >= REUSE_MIN, f"only {fetched.once:.1%} of the fetched pieces were of use")
        total = {name: sum(getattr(client, name) for client in self._clients)
                 for name in ("answers", "broken", "refused", "compared_bytes")}
        return self._report.finish(
            f"{self._kills} kills, {self._cut_fills} of them cut a fill, seed {self._seed}; {total['answers']} whole "
            f"answers, {total['broken']} broken, {total['refused']} without one, {size(total['compared_bytes'])} "
            f"compared; {self._rounds} times the working set: of {fetched.count} pieces fetched {fetched.once:.1%} "
            f"never again, of the pieces on disk at a kill {fetched.reuse:.2%} never again; restart max "
            f"{max(self._start_seconds, default=0):.2f} s", began, time.monotonic())

    # For the clients

    @property
    def report(self):
        return self._report

    @property
    def lives(self):
        return self._lives

    @property
    def is_stopping(self):
        return self._stopping.is_set()

    def content(self, number):
        return Content(f"{self._seed}/client {number}")

    def choose(self, random):
        """A blob, and a link to it: mostly one that the edge has not yet, since only fills can be cut."""
        missing = [cached.blob for cached in self._cached if not cached.is_complete]
        blob = random.choice(missing if missing and random.random() < 0.7 else self._blobs)
        return blob, self._system.link(blob)


class _Fetched:
    """Which pieces came over the path to the edge, and which of them a second time."""

    def __init__(self, relay):
        self._relay, self._seen = relay, relay.pieces()
        self._in_round = collections.Counter()
        self._on_disk = set()  # At the last death.
        self.count = self._distinct = 0
        self.kept = self._kept_and_fetched = 0

    @property
    def once(self):
        """The share of useful ones among all that were fetched. What a kill caught between socket and disk is lost."""
        return self._distinct / max(1, self.count)

    @property
    def reuse(self):
        """The share of what was on disk at a kill, in blobs that were not complete, and not fetched again."""
        return 1 - self._kept_and_fetched / max(1, self.kept)

    def died(self, files):
        """The edge is dead, and these are its files."""
        self._take()
        self._on_disk = {(file.blob.hex, piece) for file in files for piece in file.present()}
        self.kept += sum(len(file.present()) for file in files if not file.is_complete)

    def ends_round(self):
        """Whatever is fetched from now on was not there before."""
        self._take()
        self.count += sum(self._in_round.values())
        self._distinct += len(self._in_round)
        self._in_round, self._on_disk = collections.Counter(), set()

    def _take(self):
        """What was fetched since the last call."""
        seen = self._relay.pieces()
        fetched = seen - self._seen
        self._seen = seen
        self._in_round += fetched
        self._kept_and_fetched += sum(count for piece, count in fetched.items() if piece in self._on_disk)


class _Lives:
    """When the edge was alive, as far as clients are concerned."""

    def __init__(self):
        self._changed = threading.Condition()
        self._deaths = []  # [from, to]; `to` is None while it is dead.
        self.number = 0

    def ends(self):
        with self._changed:
            self._deaths.append([time.monotonic(), None])

    def begins(self):
        with self._changed:
            self._deaths[-1][1] = time.monotonic()
            self.number += 1
            self._changed.notify_all()

    def wait_alive(self, seconds_max=30):
        """The number of the present life; the last one if there is none for so long."""
        with self._changed:
            self._changed.wait_for(lambda: not self._deaths or self._deaths[-1][1] is not None, seconds_max)
            return self.number

    def had_end(self, since, until):
        """Whether the edge was dead at some moment between these."""
        with self._changed:
            return any(death <= until and (birth is None or birth >= since) for death, birth in self._deaths)


class _Client:
    """One client: pulls blobs and ranges, and goes on after a death where it stood."""

    def __init__(self, number, kills):
        self._kills, self._random = kills, kills.content(number).random
        self._name = f"client {number}"
        self._edge, self._life = EdgeClient(), 0
        self.answers = self.broken = self.refused = self.compared_bytes = 0

    def run(self):
        while not self._kills.is_stopping:
            blob, link = self._kills.choose(self._random)
            choice = self._random.random()
            if choice < 0.5:
                self._pull(blob, link, 0, blob.size)
            elif choice < 0.8:
                start = self._random.randrange(blob.size)
                end = min(blob.size, start + self._random.randrange(1, 16 * MIB))
                self._pull(blob, link, start, end)
            else:
                start = self._random.randrange(blob.size)
                hang_up_at = start + self._random.randrange(1, 9 * MIB)
                self._pull(blob, link, start, blob.size, is_open=True, hang_up_at=hang_up_at)
        self._edge.close()

    def _pull(self, blob, link, start, end, is_open=False, hang_up_at=None):
        deadline = time.monotonic() + PULL_SECONDS_MAX
        while start < end and not self._kills.is_stopping:
            life = self._kills.lives.wait_alive()
            if life != self._life:
                self._edge.close()  # It leads to a process that is dead.
                self._life = life
            answer = self._edge.get(link, Answer(blob, start, end), is_open, hang_up_at)
            self.compared_bytes += answer.received
            if answer.wrong_pages:
                self._kills.report.violation(f"{self._name}: wrong bytes: {answer}")
            if answer.ending in (Ending.COMPLETE, Ending.HUNG_UP):
                self.answers += 1
                return
            if not self._kills.lives.had_end(answer.began, answer.ended):
                self._kills.report.violation(f"{self._name}: nobody was killed, and yet: {answer}")
                return
            if answer.received:
                self.broken += 1
            else:
                self.refused += 1
            if time.monotonic() > deadline:
                self._kills.report.violation(f"{self._name}: not over after {PULL_SECONDS_MAX} s: {answer}")
                return
            start, is_open = answer.position, is_open or answer.end == blob.size
            if hang_up_at is not None and start >= hang_up_at:
                return
