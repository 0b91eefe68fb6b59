# SPDX-License-Identifier: Apache-2.0
"""Runs test targets and believes only the runner's own record of each test."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

from .build import ROOT
from .console import Failure, say

# Targets whose tests start whole systems: they run apart from the others, so that these do not disturb what they count.
INTEGRATION_TESTS = ("IntegrationTests", "ClientTests")
# Minutes that a run may take on two cores, some four times what it does take.
UNIT_MINUTES_MAX = 8
INTEGRATION_MINUTES_MAX = {"IntegrationTests": 12, "ClientTests": 20}


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

    A run that takes longer than `minutes_max` is ended; what had begun by then counts as failed.
    """
    say(f"-- {title}")
    with tempfile.TemporaryDirectory(prefix="depot-events-") as folder:
        events = pathlib.Path(folder) / "events.jsonl"
        command = [*prefix, "swift", "test", "-c", configuration, "--skip-build", "--disable-xctest",
                   "--event-stream-output-path", str(events), "--event-stream-version", "0", *options]
        status = _run(command, minutes_max)
        if not events.exists():
            raise Failure(f"{title}: the runner left no record (exit code {status})")
        before = len(totals.failed)
        with open(events) as lines:
            totals.add_events(lines)
    if status is None:
        totals.failed.append(f"{title}: not over after {minutes_max} minutes")
    elif status != 0 and len(totals.failed) == before:
        totals.failed.append(f"{title}: the runner ended with {status}")


def _run(command, minutes_max):
    """The exit code, or None if the time was over."""
    runner = subprocess.Popen(command, cwd=ROOT, stdout=sys.stderr, env=os.environ, start_new_session=True)
    try:
        return runner.wait(minutes_max * 60)
    except subprocess.TimeoutExpired:
        return None
    finally:
        # Also when this script is interrupted: the runner has a session of its own and does not hear Ctrl-C.
        if runner.poll() is None:
            os.killpg(runner.pid, signal.SIGKILL)
            runner.wait()
