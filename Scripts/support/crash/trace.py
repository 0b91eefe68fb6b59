# SPDX-License-Identifier: Apache-2.0
"""Compares the system calls that the kernel sees on the origin's files with those that failpoints know.

A call that no failpoint counts is a moment at which no sweep ever kills: then the list is not complete.
"""

import collections
import pathlib
import re
import shutil

from ..apt import install
from ..build import ROOT
from ..console import Failure
from ..processes import Process, wait_until

# Kernel names whose manual page, and therefore failpoint, is called otherwise.
_NAMES = {
    "openat": "open", "creat": "open", "pread64": "pread", "pwrite64": "pwrite", "fadvise64": "fadvise",
    "statfs": "statvfs", "fstatfs": "statvfs", "unlinkat": "unlink", "mkdirat": "mkdir", "renameat": "rename",
    "renameat2": "rename", "linkat": "link", "getdents64": "readdir",
}
# They change neither bytes nor names, and nothing that is promised depends on them.
HARMLESS = {"close", "fcntl", "lseek", "sendfile"}
_CALL = re.compile(r"^\d+ +(\w+)\((.*)")


def known_calls():
    """The names of `SystemCall`, as the sources have them."""
    source = (ROOT / "Sources" / "Shared" / "Disk" / "SystemCall.swift").read_text()
    body = source[source.index("enum SystemCall"):]
    names = []
    for line in re.findall(r"^ +case (.+)$", body, re.MULTILINE):
        for item in line.split(","):
            name, _, raw = (part.strip() for part in item.partition("="))
            names.append(raw.strip('"') or name)
    if "fsync" not in names:
        raise Failure("SystemCall.swift does not look as it should: no fsync")
    return names


class Trace:
    """strace around one origin."""

    def __init__(self, output):
        if shutil.which("strace") is None:
            install(["strace"], [])
        self._output = pathlib.Path(output)

    @property
    def wrapper(self):
        """What to put before the command."""
        return ["strace", "-f", "-y", "-qq", "-s", "0", "-e", "trace=%file,%desc", "-o", str(self._output)]

    @staticmethod
    def child(tracer):
        """The traced process, once there is one."""
        return wait_until("strace starts nothing", lambda: _child_of(tracer.pid), 10, tracer)

    def calls(self, *folders):
        """How often each call was made on paths below these folders, by the name of its manual page."""
        counts = collections.Counter()
        marks = [mark for folder in folders for mark in (f"<{folder}", f'"{folder}')]
        with open(self._output, errors="replace") as lines:
            for line in lines:
                found = _CALL.match(line)
                if found and any(mark in found[2] for mark in marks):
                    counts[_manual_name(found[1], found[2])] += 1
        return counts


def _manual_name(name, arguments):
    if name == "newfstatat":
        return "fstat" if "AT_EMPTY_PATH" in arguments else "stat"
    return _NAMES.get(name, name)


def _child_of(parent):
    """A process that `parent` has started, or None."""
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # It ended meanwhile.
        if int(fields[1]) == parent:
            return Process.of(int(path.parent.name))
    return None
