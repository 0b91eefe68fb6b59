# SPDX-License-Identifier: Apache-2.0
"""A long path between origin and edge: two network namespaces with `relay.c` as the wire, and a system at its ends."""

import contextlib
import ctypes
import json
import os
import pathlib
import re
import signal
import socket
import statistics
import struct
import subprocess
import time

from support.postmaster import PrivateCluster
from support.processes import Process, start, stop_all, wait_until

from peers import free_port
from system import READY_SECONDS, System, is_ready

ORIGIN, EDGE = 0, 1  # the ends
SEGMENT_BYTES = 1448  # of a packet of 1,500 bytes: IP, TCP and its timestamps take the rest
FRAME_BYTES = 1538  # that packet on the line of Ethernet, see relay.c
_CLONE_NEWNET = 0x40000000
_ECHO_REQUEST = 8


def _enter(descriptor):
    """Puts this thread, and what it starts from now on, into a network namespace."""
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class LongPath:
    """The wire. Its namespaces have no name; they are gone when it and everything inside has ended."""

    def __init__(self, program, round_trip_ms=50, rate_mbit=1000):
        self.round_trip_ms, self.rate_mbit = round_trip_ms, rate_mbit
        self.process = subprocess.Popen(
            [program, "-o", "-d", str(round_trip_ms / 2), "-r", str(rate_mbit)], stdout=subprocess.PIPE, text=True,
            start_new_session=True)
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("the relay does not start: the long path needs root and /dev/net/tun")
        description = json.loads(line)
        self.addresses = description["addresses"]
        self._namespaces = [
            os.open(f"/proc/{self.process.pid}/fd/{number}", os.O_RDONLY) for number in description["namespaces"]]

    @contextlib.contextmanager
    def at(self, end):
        """What runs inside is at this end of the path."""
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            _enter(self._namespaces[end])
            yield self.addresses[end]
        finally:
            _enter(before)
            os.close(before)

    def line_seconds(self, byte_count):
        """What the line alone needs for so many bytes of bodies, in full packets."""
        return byte_count * FRAME_BYTES / SEGMENT_BYTES * 8 / (self.rate_mbit * 1e6)

    def report(self):
        """Packets, bytes and drops so far."""
        self.process.send_signal(signal.SIGUSR1)
        return json.loads(self.process.stdout.readline())

    def ping(self, count=10):
        """Round-trip times from the edge to the origin, in milliseconds."""
        times = []
        with self.at(EDGE), socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
            raw.settimeout(2)
            for number in range(count):
                packet = struct.pack("!BBHHH", _ECHO_REQUEST, 0, 0, os.getpid() & 0xFFFF, number)
                packet = packet[:2] + struct.pack("!H", _checksum(packet)) + packet[4:]
                began = time.monotonic()
                raw.sendto(packet, (self.addresses[ORIGIN], 0))
                raw.recv(256)
                times.append((time.monotonic() - began) * 1000)
        return times

    def transfer(self, bench, nginx, name, connections, seconds=4):
        """Mbit/s of a static file of nginx beside the origin, read from the other end."""
        with self.at(EDGE):
            result = bench.sink(nginx.host, nginx.static_port, connections, ["/" + name], seconds=seconds)
        return result["bytes"] * 8 / 1e6 / result["seconds"]

    def settings(self):
        """The kernel's settings of TCP in these namespaces."""
        with self.at(EDGE):
            root = pathlib.Path("/proc/sys/net/ipv4")
            return ", ".join(
                f"{name} {' '.join((root / name).read_text().split())}"
                for name in ("tcp_congestion_control", "tcp_rmem", "tcp_wmem"))

    def proof(self, bench, nginx, name):
        """A line that says what path this is, as measured."""
        times = self.ping()
        rates = [self.transfer(bench, nginx, name, connections) for connections in (1, 8)]
        return (f"path: {self.round_trip_ms} ms, {self.rate_mbit} Mbit/s asked for; ping {min(times):.1f}–"
                f"{max(times):.1f} ms, median {statistics.median(times):.1f}; nginx static over it: 1 connection "
                f"{rates[0]:.0f} Mbit/s, 8 {rates[1]:.0f} Mbit/s; {self.settings()}")

    def close(self):
        self.process.terminate()
        self.process.communicate()
        for descriptor in self._namespaces:
            os.close(descriptor)


def _checksum(packet):
    total = sum(struct.unpack(f"!{len(packet) // 2}H", packet))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


class FarSystem(System):
    """An origin at one end of the path, an edge at the other, both started here."""

    def __init__(self, path, directory, programs):
        self.path, self.directory = path, directory
        directory.mkdir()
        self._started = []
        try:
            super().__init__(self._start(programs), programs)
            with self.at_origin():
                self._started.append(self._wait_for_edge_at_its_end())
        except BaseException:
            self.close()
            raise

    def at_origin(self):
        return self.path.at(ORIGIN)

    def at_edge(self):
        return self.path.at(EDGE)

    def _start(self, programs):
        bootstrap = self.directory / "bootstrap.json"
        with self.at_origin() as host:
            listen, admin = f"{host}:{free_port(host)}", f"{host}:{free_port(host)}"
            self._started.append(start(
                [programs / "depot-origin", "serve", "--data-directory", self.directory / "origin", "--listen", listen,
                 "--admin-listen", admin, "--bootstrap-file", bootstrap], self.directory / "origin.log"))
            wait_until("the origin is not ready", lambda: is_ready(f"http://{admin}"), READY_SECONDS, self._started[0],
                       self.directory / "origin.log")
            words = json.loads(bootstrap.read_text())
            with self.at_edge() as edge_host:
                edge_listen, edge_admin = (f"{edge_host}:{free_port(edge_host)}" for _ in range(2))
            made = subprocess.run(
                [programs / "depot-origin", "edge", "create", "far", "--region", "far", "--url",
                 f"http://{edge_listen}"],
                env={**os.environ, "DEPOT_ADMIN_URL": f"http://{admin}", "DEPOT_TOKEN": words["admin_token"]},
                check=True, stdout=subprocess.PIPE, text=True)
        credential = self.directory / "credential"
        text = re.search(r"depot-edge\.([a-z0-9]+)\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", made.stdout)
        credential.touch(mode=0o600)
        credential.write_text(text[0] + "\n")
        return {
            "origin": f"http://{listen}", "origin_pid": self._started[0].pid,
            "origins": [{"admin_url": f"http://{admin}"}], "token": words["token"],
            "admin_token": words["admin_token"], "registry": f"{listen}/{words['organization']}",
            "edges": [{
                "id": text[1], "url": f"http://{edge_listen}", "admin_url": f"http://{edge_admin}",
                "credential": str(credential), "cache": str(self.directory / "edge"),
            }],
        }

    def _wait_for_edge_at_its_end(self):
        with self.at_edge():
            self.edge = self.start_edge(
                self.directory / "edge", self.directory / "edge.log", ["--allow-plain-http-join"])
            process = Process.of(self.edge["pid"])
            # Both admin listeners are reachable from either end.
            try:
                self.wait_for_edge()
            except BaseException:
                stop_all([process])
                raise
        return process

    def close(self):
        stop_all(reversed(self._started))
        PrivateCluster(self.directory / "origin" / "postgres").stop()  # An origin that was killed leaves it.
