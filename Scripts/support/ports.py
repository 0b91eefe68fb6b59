# SPDX-License-Identifier: Apache-2.0
"""Ports that are free now and stay ours over a restart."""

import random
import socket

from .console import Failure

# Below the kernel's range for outgoing connections, so that none of those can take a port of ours while it is down.
_RANGE = range(20000, 32000)


def free_port(host, taken):
    """A port of `host` that nobody listens on and that is not in `taken`."""
    for port in random.sample(_RANGE, 200):
        if port in taken:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
        return port
    raise Failure(f"no free port on {host}")
