# SPDX-License-Identifier: Apache-2.0
"""The private PostgreSQL of an origin, as seen from outside: where it is, and how it is stopped."""

import os
import pathlib
import signal
import urllib.parse

from .console import say
from .processes import Process, stop_all


class PrivateCluster:
    """A cluster made by `depot-origin`, in the folder that it was given."""

    def __init__(self, folder):
        self._data = pathlib.Path(folder) / "cluster"

    @property
    def url(self):
        """Where it takes connections, or None while it does not run."""
        lines = self._lines()
        if len(lines) < 5:
            return None
        return f"postgresql:///depot?host={urllib.parse.quote(lines[4], safe='')}&user=depot"

    def stop(self):
        """Stops it if it runs, also when the program that ran it is gone."""
        process = self._process()
        if process:
            say(f"stopping PostgreSQL {process.pid}")
            # Fast shutdown; then the immediate one, from which the write-ahead log recovers. Never SIGKILL: that
            # leaves its children and shared memory behind.
            stop_all([process], signal.SIGINT, 30, signal.SIGQUIT)

    def _process(self):
        """The postmaster. Its number may belong to somebody else by now, so it must also work in the data directory,
        as every postmaster does."""
        try:
            pid = int(self._lines()[0])
            works_here = os.path.samefile(f"/proc/{pid}/cwd", self._data)
        except (OSError, ValueError, IndexError):
            return None
        return Process.of(pid) if works_here else None

    def _lines(self):
        try:
            return (self._data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return []
