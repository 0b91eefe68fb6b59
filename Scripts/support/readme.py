# SPDX-License-Identifier: Apache-2.0
"""The commands that the README tells people to type."""

import subprocess
import sys

from .build import ROOT

# Run by Scripts/test itself, or for hours: here it counts that they start and explain themselves.
_EXPLAINED = ("Scripts/quickstart", "Scripts/test", "Scripts/check", "Benchmarks/run")


def commands(path):
    """The lines of all `sh` blocks, without comments."""
    lines, is_inside = [], False
    for line in path.read_text().splitlines():
        if line.startswith("```"):
            is_inside = line == "```sh"
        elif is_inside and line.strip() and not line.startswith("#"):
            lines.append(line.partition("  #")[0].strip())
    return lines


def runs(line):
    """Whether the command ends well."""
    program = line.split()[0]
    command = f"{program} --help" if program in _EXPLAINED else line
    done = subprocess.run(["bash", "-ec", command], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=sys.stderr)
    return done.returncode == 0
