# SPDX-License-Identifier: Apache-2.0
"""Reads what a run cost from /proc, and folds interleaved pairs into a row of the table."""

import contextlib
import os
import pathlib
import statistics
import time

TICKS = os.sysconf("SC_CLK_TCK")


def family(pids):
    """These processes and everything that they started and that still runs: workers, database back ends."""
    found, left = [], list(pids)
    while left:
        pid = left.pop()
        found.append(pid)
        for children in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
            with contextlib.suppress(OSError):  # It may end while it is looked at.
                left += [int(child) for child in children.read_text().split()]
    return found


def cpu_seconds(pids):
    """CPU time of these processes and of all that they started, also of those that have ended since."""
    total = 0
    for pid in family(pids):
        with contextlib.suppress(OSError):
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += sum(int(field) for field in fields[11:15])
    return total / TICKS


def reset_peak_memory(pids):
    for pid in pids:
        with contextlib.suppress(OSError):
            pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")


def memory_bytes(pid, field):
    """A field of /proc/PID/status, such as VmHWM or VmRSS, in bytes."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise SystemExit(f"process {pid} says nothing of {field}")


def peak_memory_bytes(pids):
    return max((memory_bytes(pid, "VmHWM") for pid in pids), default=0)


def percentile(values, percent):
    """The nearest-rank percentile."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


class Sample:
    """One run: `value` in the row's unit, CPU-seconds of the server, bytes moved."""

    def __init__(self, value, cpu=float("nan"), byte_count=0):
        self.value, self.cpu, self.byte_count = value, cpu, byte_count

    @property
    def cpu_per_gb(self):
        return self.cpu / (self.byte_count / 1e9) if self.byte_count else float("nan")


class Measurement:
    """Times a body and charges the CPU that `pids` and what they started used meanwhile."""

    def __init__(self, pids):
        self.pids = pids

    def __enter__(self):
        self.cpu_before, self.began = cpu_seconds(self.pids), time.monotonic()
        return self

    def __exit__(self, *_):
        self.seconds = time.monotonic() - self.began
        self.cpu = cpu_seconds(self.pids) - self.cpu_before


class Row:
    """One line of the table. Higher is better unless `lower_is_better`; the ratio is always ours / peer."""

    def __init__(self, name, unit, reach, lower_is_better=False):
        self.name, self.unit, self.reach, self.lower_is_better = name, unit, reach, lower_is_better
        self.ours, self.peer = [], []
        self.peak = 0

    def median(self, samples, attribute):
        values = [getattr(sample, attribute) for sample in samples]
        return statistics.median(values) if values else float("nan")

    @property
    def ratio(self):
        if not self.peer:
            return float("nan")
        return statistics.median(o.value / p.value for o, p in zip(self.ours, self.peer))

    def spread(self, samples):
        values = sorted(sample.value for sample in samples)
        return f"{values[0]:.4g}–{values[-1]:.4g}" if values else "–"

    def cells(self):
        def number(value, form=".4g"):
            return "–" if value != value else format(value, form)
        return [
            self.name,
            f"{number(self.median(self.ours, 'value'))} {self.unit} ({self.spread(self.ours)})",
            f"{number(self.median(self.peer, 'value'))} ({self.spread(self.peer)})" if self.peer else "–",
            number(self.ratio, ".2f"), self.reach,
            number(self.median(self.ours, "cpu_per_gb"), ".2f"),
            number(self.median(self.peer, "cpu_per_gb"), ".2f") if self.peer else "–",
            f"{self.peak / 2**20:.0f} MiB" if self.peak else "–",
        ]


HEADER = ["what", "ours", "peer", "ratio", "reach", "CPU-s/GB ours", "peer", "VmHWM"]


def table(rows):
    lines = ["| " + " | ".join(HEADER) + " |", "| " + " | ".join("---" for _ in HEADER) + " |"]
    return "\n".join(lines + ["| " + " | ".join(row.cells()) + " |" for row in rows])
