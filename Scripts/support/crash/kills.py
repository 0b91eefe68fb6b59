# SPDX-License-Identifier: Apache-2.0
"""kill -9 at random moments of mixed traffic, again and again; after each, what was acknowledged has to be there."""

import collections
import concurrent.futures
import random
import time

from . import edge
from ..console import Failure, say
from .client import Died, Violation
from .history import Visible
from .origin import distribution
from .writer import Writer, common_blobs

WRITER_COUNT = 4
REPOSITORY_COUNT = 3
TRAFFIC_SECONDS_MAX = 0.4
START_SECONDS_MAX = 0.25  # A start that is itself killed gets so long at most.
FULL_CHECK_INTERVAL = 25  # Kills between checks of everything, and between lines of progress.
SAMPLE_COUNT = 25  # Older things that each writer looks at after every other kill.
FAULTS_SHOWN_MAX = 20
_WRITER_SECONDS_MAX, _CHECK_SECONDS_MAX = 90, 900


class Kills:
    """One run against one origin."""

    def __init__(self, origin, count, seed):
        self._origin, self._count, self._seed = origin, count, seed
        self._random = random.Random(f"{seed}/kills")
        repositories = [f"{origin.organization}/crash/r{number}" for number in range(REPOSITORY_COUNT)]
        common = common_blobs(seed)
        self._writers = [Writer(number, seed, origin.client(), repositories, common)
                         for number in range(WRITER_COUNT)]
        self._visible = Visible([writer.history for writer in self._writers])
        self._client = origin.client()
        self._threads = concurrent.futures.ThreadPoolExecutor(WRITER_COUNT)
        self._kills, self._checked, self._faults, self._next_full_check = 0, 0, [], FULL_CHECK_INTERVAL

    def run(self):
        """Returns whether nothing was violated."""
        began = time.monotonic()
        try:
            while self._kills < self._count and not self._faults:
                self._one_kill()
                if self._kills >= self._next_full_check:
                    self._next_full_check += FULL_CHECK_INTERVAL
                    self._progress(began)
            if not self._faults:
                self._faults += edge.faults(self._origin, [writer.history for writer in self._writers])
        except Violation as violation:
            self._faults.append(str(violation))
        finally:
            for writer in self._writers:
                writer.stop()
            self._threads.shutdown(wait=True, cancel_futures=True)
        for fault in self._faults[:FAULTS_SHOWN_MAX]:
            say(f"violation: {fault}")
        print(self._summary(time.monotonic() - began), flush=True)
        return not self._faults

    def _one_kill(self):
        """Traffic, a kill, a restart, and the checks."""
        large = self._random.randrange(WRITER_COUNT) if self._random.random() < 0.2 else None
        running = [self._threads.submit(writer.run, number == large) for number, writer in enumerate(self._writers)]
        time.sleep(self._random.uniform(0, TRAFFIC_SECONDS_MAX))
        killed_at = self._origin.kill()
        self._kills += 1
        self._take_deaths(running, killed_at)
        if self._random.random() < 0.07:
            self._kill_a_start()
        self._origin.restart()
        self._check(is_full=self._kills >= min(self._next_full_check, self._count))

    def _take_deaths(self, running, killed_at):
        """Every writer has lost its connection, and none before the kill."""
        for future in running:
            death = _result(future, _WRITER_SECONDS_MAX)
            if death and death.at < killed_at:
                self._faults.append(f"a connection broke {killed_at - death.at:.3f} s before the kill: {death}")
        self._collect()

    def _kill_a_start(self):
        self._origin.launch()
        time.sleep(self._random.uniform(0, START_SECONDS_MAX))
        self._origin.kill()
        self._kills += 1

    def _check(self, is_full):
        for future in [self._threads.submit(self._check_writer, writer, is_full) for writer in self._writers]:
            self._checked += _result(future, _CHECK_SECONDS_MAX)
        try:
            self._faults += self._visible.check(self._client, f"{self._origin.organization}/crash", is_full)
        except Died as death:
            self._faults.append(f"the connection broke while nobody was killed: {death}")
        self._client.close()
        self._collect()

    @staticmethod
    def _check_writer(writer, is_full):
        writer.recover()
        checked = writer.check(is_full, SAMPLE_COUNT)
        writer.close()
        return checked

    def _collect(self):
        for writer in self._writers:
            self._faults += writer.faults
            writer.faults = []

    # Telling

    def _acknowledged(self):
        return sum((writer.history.acknowledged for writer in self._writers), collections.Counter())

    def _progress(self, began):
        say(f"{self._kills} kills in {time.monotonic() - began:.0f} s, {self._acknowledged().total()} operations "
            f"acknowledged, {self._checked} looks, restart max {max(self._origin.restart_seconds):.2f} s")

    def _summary(self, seconds):
        acknowledged = self._acknowledged()
        for name, count in sorted(acknowledged.items()):
            say(f"  {count:7} {name}")
        say(f"  restarts: {distribution(self._origin.restart_seconds)}")
        histories = [writer.history for writer in self._writers]
        say(f"  resumed uploads refused because of a dead lease: {sum(history.busy_count for history in histories)} "
            f"times, for {max(history.busy_seconds_max for history in histories):.2f} s at most")
        return (f"kills: {self._kills}, seed {self._seed}, {acknowledged.total()} operations acknowledged, "
                f"{self._checked} looks, restart max {max(self._origin.restart_seconds, default=0):.2f} s, "
                f"{len(self._faults)} violations, {seconds:.0f} s")


def _result(future, seconds_max):
    try:
        return future.result(timeout=seconds_max)
    except concurrent.futures.TimeoutError:
        raise Failure(f"a writer has not come back within {seconds_max} s") from None
