# SPDX-License-Identifier: Apache-2.0
"""What the clients of a run read from the edge, and whether it was right."""

import threading

from .client import Answer
from .report import size


class Readings:
    """Counts answers of all threads; one that is not whole and right is a violation."""

    def __init__(self, system, report):
        self._system, self._report = system, report
        self._lock = threading.Lock()
        self.answer_count = self.byte_count = 0

    def __str__(self):
        return f"{self.answer_count} answers, {size(self.byte_count)} compared"

    def read(self, client, blob, start=0, end=None):
        """Reads a range of the blob, all of it unless told otherwise. Any thread, each with a client of its own."""
        answer = client.get(self._system.link(blob), Answer(blob, start, blob.size if end is None else end))
        self._report.demand(answer.is_good, str(answer))
        with self._lock:
            self.answer_count += 1
            self.byte_count += answer.received
