# SPDX-License-Identifier: Apache-2.0
"""The origin of a stack, killed and started again at will, on the same ports and data. Its PostgreSQL lives on."""

import base64
import http.client
import os
import pathlib
import signal
import time
import urllib.parse

from ..console import Failure
from .client import Client, Violation
from ..processes import Process, start
from ..stack import Stack

RESTART_SECONDS_MAX = 2.0  # From exec to the first answered request, without what the machine was short of.
_READY_SECONDS_MAX, _END_SECONDS_MAX = 60, 10
_POLL_SECONDS = 0.002
_SETTINGS_WANTED_AT_DEFAULT = ("DEPOT_FAILPOINT", "DEPOT_MISSING_REFERENCES", "DEPOT_DIRECT_SERVE_BYTES_MAX")


class Origin:
    """One origin with its private PostgreSQL, below `folder`, which has to be new or empty."""

    def __init__(self, folder, programs):
        folder = pathlib.Path(folder)
        if folder.exists() and any(folder.iterdir()):
            raise Failure(f"{folder} is not empty: the crash test wants a folder of its own")
        for name in _SETTINGS_WANTED_AT_DEFAULT:
            os.environ.pop(name, None)
        os.environ.setdefault("DEPOT_DISK_RESERVE_BYTES", "64MiB")
        self.programs, self.stack = programs, Stack(folder)
        self.description = self.stack.up(edge_count=0, origin_count=1, programs=programs)
        self.url, self.organization = self.description["origin"], self.description["organization"]
        self.log = pathlib.Path(self.description["origins"][0]["log"])
        self._record = self.stack.record("origin-1")
        self._process = Process.load(self._record)
        self._command = pathlib.Path(f"/proc/{self._process.pid}/cmdline").read_text().split("\0")[:-1]
        self.restart_seconds = []

    @property
    def data_directory(self):
        return self._command[self._command.index("--data-directory") + 1]

    @property
    def process(self):
        return self._process

    @property
    def is_alive(self):
        return self._process.is_alive

    def client(self):
        return Client(self.url, self.description["token"])

    def kill(self):
        """SIGKILL, to the origin alone; returns the instant before it was sent.

        Throws: `Violation` if it had ended by itself before.
        """
        if not self.is_alive:
            raise Violation(f"the origin ended by itself, see {self.log}")
        sent_at = time.monotonic()
        self._process.send(signal.SIGKILL)
        if not self.ends(_END_SECONDS_MAX):
            raise Failure(f"process {self._process.pid} does not end")
        return sent_at

    def ends(self, seconds):
        """Waits for its end; whether it came."""
        return self._process.wait_ended(seconds)

    def launch(self, failpoint=None, options=(), wrapper=()):
        """Starts it as the stack did, and does not wait.

        - failpoint: `DEPOT_FAILPOINT` for this process alone.
        - options: settings besides, such as another blob directory.
        - wrapper: a command that runs it, such as a tracer.
        """
        environment = ["env", f"DEPOT_FAILPOINT={failpoint}"] if failpoint else []
        self._process = start([*wrapper, *environment, *self._command, *options], self.log)
        self._process.save(self._record)

    def adopt(self, process):
        """From now on the origin is this process, such as the child of a tracer."""
        self._process = process
        process.save(self._record)

    def restart(self, options=()):
        """Starts it, waits for the first answered request, and returns the seconds from exec to there.

        Throws: `Violation` if that took too long.
        """
        began, pressure = time.monotonic(), _pressure()
        self.launch(options=options)
        if not self.wait_ready_or_dead():
            raise Violation(f"the origin does not start any more, see {self.log}")
        seconds = time.monotonic() - began
        self.restart_seconds.append(seconds)
        short = [after - before for before, after in zip(pressure, _pressure())]
        if seconds - sum(short) > RESTART_SECONDS_MAX:
            raise Violation(f"the restart took {seconds:.2f} s, {RESTART_SECONDS_MAX} s are allowed; meanwhile the "
                            f"machine was short of processors for {short[0]:.2f} s and of disk for {short[1]:.2f} s")
        return seconds

    def wait_ready_or_dead(self):
        """Whether it answers; False if it ended first."""
        deadline = time.monotonic() + _READY_SECONDS_MAX
        while not self.answers():
            if not self.is_alive:
                return False
            if time.monotonic() > deadline:
                raise Failure(f"the origin neither answers nor ends, see {self.log}")
            time.sleep(_POLL_SECONDS)
        return True

    def answers(self):
        """Whether `/v2/` is 200 for who has a credential."""
        address = urllib.parse.urlsplit(self.url)
        credential = base64.b64encode(f"x-token:{self.description['token']}".encode()).decode()
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=5)
        try:
            connection.request("GET", "/v2/", headers={"Authorization": f"Basic {credential}"})
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def down(self):
        """Stops everything; data stays."""
        if self.stack.directory.is_dir():
            self.stack.down()


def _pressure():
    """Seconds that something on this machine has waited for a processor, and for the disk; zeros where unknown."""
    totals = []
    for resource in ("cpu", "io"):
        try:
            some = pathlib.Path(f"/proc/pressure/{resource}").read_text().splitlines()[0]
            totals.append(int(some.partition("total=")[2]) / 1e6)
        except (OSError, ValueError, IndexError):
            totals.append(0.0)
    return totals


def distribution(seconds):
    """One line about a list of durations."""
    ordered = sorted(seconds)
    if not ordered:
        return "none"
    pick = [ordered[min(len(ordered) - 1, int(len(ordered) * share))] for share in (0.5, 0.9, 0.99)]
    return "median {:.2f} s, p90 {:.2f} s, p99 {:.2f} s, max {:.2f} s".format(*pick, ordered[-1])
