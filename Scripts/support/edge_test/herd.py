# SPDX-License-Identifier: Apache-2.0
"""Many clients that want the same cold blob at once, over a path that is slower than any of them."""

import threading
import time

from .client import Answer, EdgeClient
from .content import MIB, Content
from .report import size
from .system import join_all, start_threads

PATH_BYTES_PER_SECOND = 20_000_000
SLOWDOWN_MAX = 1.3  # The last client of the herd, measured by a client that is alone.
RUN_SECONDS_MAX = 300


class Form:
    """How large a run is."""

    def __init__(self, client_count, blob_bytes):
        self.client_count, self.blob_bytes = client_count, blob_bytes


LONG, SHORT = Form(64, 256 * MIB), Form(16, 64 * MIB)


class Herd:
    """One blob for a single client, then one of the same size for all."""

    def __init__(self, system, report, form, seed):
        self._system, self._report, self._form, self._seed = system, report, form, seed
        content = Content(f"{seed}/herd")
        self._alone, self._together = (content.blob(form.blob_bytes) for _ in range(2))
        self._answers = []

    def run(self):
        """Returns whether nothing was violated."""
        began = time.monotonic()
        self._system.push([self._alone, self._together])
        alone_seconds, alone_share = self._pull(self._alone, 1)
        seconds, share = self._pull(self._together, self._form.client_count)
        slowdown = seconds / alone_seconds
        self._report.demand(round(share, 2) == 1.00, f"the origin sent {share:.3f} times the blob")
        self._report.demand(slowdown <= SLOWDOWN_MAX,
                            f"the last client was done after {seconds:.2f} s, a single one after {alone_seconds:.2f} s")
        return self._report.finish(
            f"{self._form.client_count} clients on {size(self._form.blob_bytes)} over "
            f"{PATH_BYTES_PER_SECOND / 1e6:.0f} MB/s: origin bytes {share:.3f} x the blob (single client "
            f"{alone_share:.3f}), last client {seconds:.2f} s, single client {alone_seconds:.2f} s, {slowdown:.2f} x",
            began, time.monotonic())

    def _pull(self, blob, client_count):
        """Seconds until the last client has its last byte, and the origin's bytes as a multiple of the blob's."""
        origin_before = self._system.origin_bytes()
        link = self._system.link(blob)
        answers = [Answer(blob, 0, blob.size) for _ in range(client_count)]
        barrier = threading.Barrier(client_count)

        def pull(number):
            client = EdgeClient()
            barrier.wait(RUN_SECONDS_MAX)
            client.get(link, answers[number])
            client.close()
        threads = start_threads(client_count, pull, self._report)
        join_all(threads, RUN_SECONDS_MAX)
        for answer in answers:
            self._report.demand(answer.ending is not None and answer.is_good, f"a client of {client_count}: {answer}")
        seconds = max(answer.ended for answer in answers) - min(answer.began for answer in answers)
        return seconds, (self._system.origin_bytes() - origin_before) / blob.size
