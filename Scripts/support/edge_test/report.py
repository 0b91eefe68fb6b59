# SPDX-License-Identifier: Apache-2.0
"""What was found to be wrong, from all threads of a run, and the line of figures at its end."""

import threading

from ..console import say

SHOWN_MAX = 20


class Report:
    """The outcome of one mode."""

    def __init__(self, mode):
        self.mode = mode
        self._lock = threading.Lock()
        self._violations = []

    @property
    def is_good(self):
        return not self._violations

    def violation(self, text):
        """Something that must never be. Any thread."""
        with self._lock:
            self._violations.append(text)
            if len(self._violations) <= SHOWN_MAX:
                say(f"violation: {self.mode}: {text}")

    def demand(self, is_met, text):
        """A violation unless it is met."""
        if not is_met:
            self.violation(text)

    def finish(self, figures, began, ended):
        """Prints the last line; returns whether nothing was violated."""
        print(f"{self.mode}: {figures}, {len(self._violations)} violations, {ended - began:.0f} s", flush=True)
        return self.is_good


def size(byte_count):
    """For people: MiB, or GiB from ten of them on."""
    mebibytes = byte_count / (1 << 20)
    return f"{mebibytes:.0f} MiB" if mebibytes < 10240 else f"{mebibytes / 1024:.1f} GiB"
