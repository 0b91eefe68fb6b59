# SPDX-License-Identifier: Apache-2.0
"""An origin and one edge of a stack, with the path between them, and what can be asked of and done to them."""

import concurrent.futures
import contextlib
import os
import pathlib
import signal
import socket
import threading
import time
import urllib.parse

from .. import http as admin
from ..console import Failure, say
from ..crash.client import Body, Client
from ..processes import Process, start, wait_until
from ..stack import Stack
from .client import LinkSource
from .relay import Relay

LINK_SECONDS = 3600  # Links live that long, so that one can be used again right after a restart of the edge.
_LINK_SECONDS_MAX = 1200  # A link older than that is asked for anew.
_REDIRECT_SECONDS_MAX, _END_SECONDS_MAX, _LISTEN_SECONDS_MAX = 15, 10, 10
_POLL_SECONDS = 0.002
_PUSHER_COUNT = 2
_SETTINGS = {
    "DEPOT_LINK_TTL_SECONDS": str(LINK_SECONDS), "DEPOT_DISK_RESERVE_BYTES": "64MiB", "DEPOT_LOG_FORMAT": "json",
    "DEPOT_ACCESS_LOG": "off",
}


class System:
    """One origin, one edge, below `folder`, which has to be new or empty. The edge reaches the origin by a relay."""

    def __init__(self, folder, programs, bytes_per_second=None, settings=None):
        """
        - bytes_per_second: of the path from the origin to the edge; None: as fast as it gets.
        - settings: DEPOT_* for both programs, besides the test's own.
        """
        for name in [name for name in os.environ if name.startswith("DEPOT_")]:
            del os.environ[name]
        self.relay = Relay(bytes_per_second=bytes_per_second)
        os.environ.update({**_SETTINGS, "DEPOT_ORIGIN_URL": self.relay.url, **(settings or {})})
        self.stack, self.programs = Stack(folder), programs
        self._links, self._lock = {}, threading.Lock()

    def up(self):
        """Starts everything, the origin first: the relay has to know it before the edge joins."""
        description = self.stack.up(edge_count=0, origin_count=1, programs=self.programs)
        origin = urllib.parse.urlsplit(description["origin"])
        self.relay.forward_to(origin.hostname, origin.port)
        self.description = self.stack.up(edge_count=1, programs=self.programs)
        self.edge = self.description["edges"][0]
        self.repository = f"{self.description['organization']}/edge-test"
        self._record = self.stack.record(self.edge["name"])
        self._process = Process.load(self._record)
        self._command = pathlib.Path(f"/proc/{self._process.pid}/cmdline").read_text().split("\0")[:-1]

    def down(self):
        """Stops everything; data stays."""
        if self.stack.directory.is_dir():
            self.stack.down()
        self.relay.close()

    @staticmethod
    def cache_of(folder):
        """Where the edge of a system in this folder keeps its blobs, also before there is one."""
        return pathlib.Path(folder).resolve() / "edge-1" / "cache"

    @property
    def cache(self):
        return self.cache_of(self.stack.directory)

    # Origin

    def push(self, blobs):
        """Puts blobs into the repository."""
        say(f"pushing {len(blobs)} blobs, {sum(blob.size for blob in blobs) / 1e6:.0f} MB")
        with concurrent.futures.ThreadPoolExecutor(_PUSHER_COUNT) as threads:
            for pushed in [threads.submit(self._push, blob) for blob in blobs]:
                pushed.result()

    def _push(self, blob):
        client = Client(self.description["origin"], self.description["token"])
        path = f"/v2/{self.repository}/blobs/uploads/?digest={blob.digest}"
        try:
            client.ask("POST", path, body=Body(blob.parts(0, blob.size), blob.size)).expect(201)
        finally:
            client.close()

    def link_source(self):
        return LinkSource(self.description["origin"], self.repository, self.description["token"])

    def link(self, blob):
        """A link to the edge for a blob, asked for once and kept while it counts. Any thread.

        Throws: `Failure` if the origin sends nobody to the edge.
        """
        with self._lock:
            link, asked_at = self._links.get(blob.hex, (None, 0.0))
        if link is None or time.monotonic() - asked_at > _LINK_SECONDS_MAX:
            asked_at = time.monotonic()
            with contextlib.closing(self.link_source()) as source:
                link = wait_until("the origin sends nobody to the edge", lambda: source.link(blob),
                                  _REDIRECT_SECONDS_MAX)
            with self._lock:
                self._links[blob.hex] = (link, asked_at)
        return link

    def origin_bytes(self):
        """Bytes of blobs that the origin has sent to edges."""
        return admin.metric(
            self.description["origins"][0]["admin_url"], "depot_origin_blob_bytes_total", via="fill")

    def metric(self, name, **labels):
        """A counter of the edge, which begins anew with its process."""
        return admin.metric(self.edge["admin_url"], name, **labels)

    # Edge

    @property
    def edge_log(self):
        return self.edge["log"]

    @property
    def is_edge_alive(self):
        return self._process.is_alive

    def kill_edge(self):
        """SIGKILL; returns once the process is gone with its sockets, and whether it had been alive."""
        was_alive = self._process.is_alive
        self._process.send(signal.SIGKILL)
        deadline = time.monotonic() + _END_SECONDS_MAX
        # A zombie whose other threads still end has its listener open, and somebody could connect to it.
        while not is_gone(self._process.pid):
            if time.monotonic() > deadline:
                raise Failure(f"process {self._process.pid} does not end")
            time.sleep(_POLL_SECONDS)
        return was_alive

    def launch_edge(self):
        """Starts it as the stack did, and does not wait."""
        self._process = start(self._command, self.edge_log)
        self._process.save(self._record)

    def wait_listening(self):
        """Until the edge takes connections of clients. Throws: `Failure` if it ends, or does not within ten seconds."""
        address = urllib.parse.urlsplit(self.edge["url"])
        deadline = time.monotonic() + _LISTEN_SECONDS_MAX
        while True:
            with contextlib.suppress(OSError), socket.create_connection((address.hostname, address.port), timeout=1):
                return
            if not self._process.is_alive or time.monotonic() > deadline:
                raise Failure(f"the edge does not start any more, see {self.edge_log}")
            time.sleep(_POLL_SECONDS)


def is_gone(child):
    """Collects a child of ours; whether it has ended with all of its threads."""
    try:
        return os.waitpid(child, os.WNOHANG)[0] == child
    except ChildProcessError:
        return True


def join_all(threads, seconds):
    """Waits for threads. Throws: `Failure` if one is not done after so long."""
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
        if thread.is_alive():
            raise Failure(f"a client has not come back within {seconds} s")


def stop_threads(threads, stopping, seconds=60):
    """Tells threads to stop and waits for them. Throws: `Failure` if one does not."""
    stopping.set()
    join_all(threads, seconds)


def start_threads(count, run, report):
    """Starts `count` threads that call `run(number)`; what one of them raises is a violation."""
    def guarded(number):
        try:
            run(number)
        except Exception as error:  # Whatever it is: a client that is gone tests nothing.
            report.violation(f"client {number}: {type(error).__name__}: {error}")
    threads = [threading.Thread(target=guarded, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    return threads
