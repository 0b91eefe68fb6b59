# SPDX-License-Identifier: Apache-2.0
"""Progress goes to stderr, so that stdout stays for results."""

import sys


class Failure(Exception):
    """Ends a script with one clear message and exit code 1."""


def say(text):
    print(text, file=sys.stderr, flush=True)


def run_script(main):
    """Runs `main` and turns a `Failure` into a message and an exit code."""
    try:
        sys.exit(main() or 0)
    except Failure as failure:
        say(f"error: {failure}")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
