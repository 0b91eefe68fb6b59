# SPDX-License-Identifier: Apache-2.0
"""Background processes that are found again later, and never mistaken for another.

A number alone does not name a process: the kernel hands it out again. A record therefore also holds the boot id and
the start time of /proc/PID/stat, and a signal is sent only while both still match.
"""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import time

from .console import Failure, say


def _boot_id():
    return pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _stat_fields(pid):
    """The fields of /proc/PID/stat after the command name, which itself may hold spaces and parentheses."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


class Process:
    """One process, known by number, start time and boot."""

    def __init__(self, pid, start_ticks, boot_id):
        self.pid, self.start_ticks, self.boot_id = pid, start_ticks, boot_id

    @classmethod
    def of(cls, pid):
        """The process that has this number now, or None."""
        fields = _stat_fields(pid)
        return cls(pid, int(fields[19]), _boot_id()) if fields else None

    @classmethod
    def load(cls, path):
        """The process recorded at `path`, or None if there is no usable record."""
        try:
            record = json.loads(path.read_text())
            return cls(int(record["pid"]), int(record["start_ticks"]), str(record["boot_id"]))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def save(self, path):
        write_private(path, json.dumps(vars(self)) + "\n")

    @property
    def is_alive(self):
        fields = _stat_fields(self.pid)
        if fields is None or self.boot_id != _boot_id():
            return False
        return int(fields[19]) == self.start_ticks and fields[0] not in ("Z", "X")

    def send(self, number):
        if not self.is_alive:
            return
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            pass

    def wait_ended(self, seconds):
        deadline = time.monotonic() + seconds
        while self.is_alive:
            reap(self.pid)
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True


def reap(pid):
    """Collects a child of ours that has ended; a process that is not our child is left to its parent."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass


def start(command, log, stdout=None):
    """Starts `command` in a session of its own and returns its `Process`.

    Errors, and without a file `stdout` also its output, are appended to `log`.
    """
    with contextlib.ExitStack() as files:
        errors = files.enter_context(_open_private(log))
        output = files.enter_context(_open_private(stdout)) if stdout else errors
        child = subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=output, stderr=errors,
            start_new_session=True, preexec_fn=_unblock_signals)
    child.returncode = 0  # It outlives this script: Popen must neither wait for it nor warn about it.
    return Process.of(child.pid) or Process(child.pid, -1, _boot_id())


def _unblock_signals():
    """A caller's signal mask would pass down to the child, which could then not be asked to end."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _open_private(path):
    return open(path, "ab", opener=lambda name, flags: os.open(name, flags, 0o600))


def stop_all(processes, first_signal=signal.SIGTERM, grace_seconds=45, last_signal=signal.SIGKILL):
    """Asks all at once, waits for all, and only then insists."""
    alive = [process for process in processes if process and process.is_alive]
    for process in alive:
        process.send(first_signal)
    deadline = time.monotonic() + grace_seconds
    for process in alive:
        if not process.wait_ended(max(0.0, deadline - time.monotonic())):
            say(f"process {process.pid} ignored {first_signal.name} for {grace_seconds} s: {last_signal.name}")
            process.send(last_signal)
            if not process.wait_ended(10):
                raise Failure(f"process {process.pid} does not end")


def wait_until(what, condition, seconds, alive=None, log=None):
    """Polls `condition` until it returns something true, and returns that.

    Fails early when the process `alive` ends, with the last lines of `log`.
    """
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        ended = alive is not None and not alive.is_alive
        if ended or time.monotonic() > deadline:
            reason = "the process ended" if ended else f"not within {seconds} s"
            raise Failure(f"{what}: {reason}{_tail(log)}")
        time.sleep(0.05)


def _tail(log, line_count=15):
    if log is None or not log.exists():
        return ""
    with open(log, "rb") as file:
        file.seek(max(0, log.stat().st_size - 16384))
        lines = file.read().decode(errors="replace").splitlines()[-line_count:]
    return f"; end of {log}:\n" + "\n".join("  " + line for line in lines)


def write_private(path, text):
    """Replaces a file in one step; only its owner may read it."""
    temporary = path.with_name(path.name + ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w") as file:
        os.fchmod(descriptor, 0o600)
        file.write(text)
    os.replace(temporary, path)
