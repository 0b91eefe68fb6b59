# SPDX-License-Identifier: Apache-2.0
"""Runs test targets and believes only the runner's own record of each test."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile

from .build import ROOT
from .console import Failure, say

# Targets whose tests start whole systems: they run apart from the others, so that these do not disturb what they count.
INTEGRATION_TESTS = ("IntegrationTests", "ClientTests")
# Minutes that a run may take on two cores, some four times what it does take.
UNIT_MINUTES_MAX = 8
# Unit tests with a peer of their own, a server or a process, that time waits for: beside hundreds of tests that keep all
# processors busy, they would be about those.
PEER_TESTS = ("EdgeControlTests", "OriginTrustTests")
INTEGRATION_MINUTES_MAX = {"IntegrationTests": 25, "ClientTests": 20}


class Totals:
    """Outcomes over several runs. A test with arguments counts once."""

    def __init__(self):
        self.passed, self.failed, self.skipped = [], [], []

    @property
    def is_clean(self):
        return bool(self.passed) and not self.failed and not self.skipped

    def add_check(self, name, is_passed):
        (self.passed if is_passed else self.failed).append(name)

    def add_events(self, lines):
        """Reads a run's event stream: what ended without an issue passed, what began and never ended failed."""
        open_tests, failed = set(), set()
        names = {}
        for line in lines:
            if not line.endswith("\n"):
                break  # The runner was ended in the middle of it.
            record = json.loads(line)
            payload = record["payload"]
            if record["kind"] == "test":
                if payload["kind"] == "function":
                    names[payload["id"]] = payload.get("displayName") or payload["name"]
                continue
            kind, test = payload["kind"], payload.get("testID")
            if kind == "issueRecorded" and not payload["issue"].get("isKnown") and _is_error(payload["issue"]):
                failed.add(test)
            elif test not in names:
                continue
            elif kind == "testStarted":
                open_tests.add(test)
            elif kind == "testSkipped":
                self.skipped.append(names[test])
            elif kind == "testEnded":
                open_tests.discard(test)
                (self.failed if test in failed else self.passed).append(names[test])
        self.failed += [names[test] for test in open_tests]
        # An issue of a suite (its system did not start) or of no test at all fails the run, too.
        self.failed += [str(test) for test in failed if test not in names]

    def line(self):
        return f"{len(self.passed)} passed, {len(self.failed)} failed, {len(self.skipped)} skipped"


def _is_error(issue):
    return issue.get("severity", "error") == "error"


def run_tests(totals, title, options, configuration, minutes_max, prefix=()):
    """Runs `swift test` without building and adds what happened to `totals`.

    A run that takes longer than `minutes_max` is ended; what had begun by then counts as failed. Returns whether the run
    came to its end: one that did not may have left systems running, beside which nothing else should be tested.
    """
    say(f"-- {title}")
    with tempfile.TemporaryDirectory(prefix="depot-events-") as folder:
        events = pathlib.Path(folder) / "events.jsonl"
        # timeout(1) inside of sudo: it may end what root started, and it ends the whole group.
        command = [*prefix, "timeout", "--kill-after=30", f"{minutes_max}m",
                   "swift", "test", "-c", configuration, "--skip-build", "--disable-xctest",
                   "--event-stream-output-path", str(events), "--event-stream-version", "0", *options]
        status = _run(command)
        if not events.exists():
            raise Failure(f"{title}: the runner left no record (exit code {status})")
        before = len(totals.failed)
        with open(events) as lines:
            totals.add_events(lines)
    is_over = status not in (124, 137)
    if not is_over:
        totals.failed.append(f"{title}: not over after {minutes_max} minutes")
    elif status != 0 and len(totals.failed) == before:
        totals.failed.append(f"{title}: the runner ended with {status}")
    return is_over


def _run(command):
    runner = subprocess.Popen(command, cwd=ROOT, stdout=sys.stderr, env=os.environ)
    try:
        return runner.wait()
    except BaseException:
        # timeout(1) has a group of its own and does not hear Ctrl-C; it passes on what it is told.
        with contextlib.suppress(PermissionError):
            runner.terminate()
        runner.wait()
        raise


def unit_test_runs():
    """The runs that all unit tests take: (name, arguments of the test runner)."""
    apart = [word for name in (*INTEGRATION_TESTS, *PEER_TESTS) for word in ("--skip", f"^{name}\\.")]
    peers = [word for name in PEER_TESTS for word in ("--filter", f"^{name}\\.")]
    return [("unit tests", apart), ("unit tests with peers", peers)]
