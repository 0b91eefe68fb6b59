# SPDX-License-Identifier: Apache-2.0
"""Builds the two programs when the sources are newer."""

import os
import pathlib
import shutil
import subprocess
import sys

from .console import Failure, say

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = ("depot-origin", "depot-edge")


def programs(configuration):
    """The folder of up-to-date programs of this configuration. Builds if one is missing or older than the sources."""
    folder = ROOT / ".build" / configuration
    if _built_at(folder) < _changed_at():
        say(f"building ({configuration}); the first build takes several minutes")
        for program in PROGRAMS:
            _swift_build(configuration, "--product", program)
        _stamp(folder).touch()  # A change that left a program as it was does not touch the program.
    return folder


def build_with_tests(configuration):
    """Builds everything there is."""
    say(f"building everything ({configuration}); the first build takes several minutes")
    _swift_build(configuration, "--build-tests")
    _stamp(ROOT / ".build" / configuration).touch()


def _swift_build(configuration, *options):
    if shutil.which("swift") is None:
        raise Failure("no `swift` in PATH: install a Swift 6.2 or later toolchain, see https://swift.org/install")
    command = ["swift", "build", "--package-path", ROOT, "-c", configuration, *options]
    if configuration == "debug":
        # Refuses imports that the manifest does not allow. Not for release builds, which people also make by hand: with
        # another set of options everything is built anew.
        command += ["--explicit-target-dependency-import-check", "error"]
    if subprocess.run(command, stdout=sys.stderr).returncode != 0:
        raise Failure("the build failed: " + " ".join(options))


def _stamp(folder):
    return folder / "depot-programs.stamp"


def _built_at(folder):
    try:
        oldest = min((folder / program).stat().st_mtime for program in PROGRAMS)
    except FileNotFoundError:
        return 0.0
    stamp = _stamp(folder)
    return max(oldest, stamp.stat().st_mtime if stamp.exists() else 0.0)


def _changed_at():
    newest = (ROOT / "Package.swift").stat().st_mtime
    for folder, _, names in os.walk(ROOT / "Sources"):
        for name in names:
            newest = max(newest, os.stat(os.path.join(folder, name)).st_mtime)
    return newest
