# SPDX-License-Identifier: Apache-2.0
"""The one format of the Swift sources, `.swift-format`."""

import subprocess
import sys

from .build import ROOT

_FOLDERS = ("Package.swift", "Sources", "Tests")


def apply():
    """Formats everything in place; returns whether that went well."""
    return _run("format", "--in-place")


def is_right():
    """Whether everything is formatted; tells on stderr what is not."""
    return _run("lint", "--strict")


def _run(verb, *options):
    command = ["swift", "format", verb, *options, "--parallel", "--recursive", *_FOLDERS]
    return subprocess.run(command, cwd=ROOT, stdout=sys.stderr).returncode == 0
