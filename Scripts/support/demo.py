# SPDX-License-Identifier: Apache-2.0
"""Pushes a real image with skopeo, pulls it twice with podman, and reports who sent the bytes."""

import base64
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from . import http
from .console import Failure, say
from .image import make_image
from .processes import write_private
from .stack import Stack

MB = 1e6
DIRECT_SERVE_BYTES_MAX = int(os.environ.get("DEPOT_DIRECT_SERVE_BYTES_MAX", 65536))


class Demo:
    """One system with its demonstration, below `folder`."""

    def __init__(self, folder, programs):
        self.folder, self.programs = pathlib.Path(folder), programs

    def run(self):
        os.environ["DEPOT_LOG_FORMAT"] = "json"  # The report of a pull reads the access logs.
        self.stack = Stack(self.folder).up(programs=self.programs)
        self.image = self.stack["registry"] + "/quickstart:latest"
        write_private(self.folder / "auth.json", json.dumps({"auths": {self.stack["registry"].partition("/")[0]: {
            "auth": base64.b64encode(f"x-token:{self.stack['token']}".encode()).decode()}}}))
        with tempfile.TemporaryDirectory(prefix="image-", dir=self.folder) as layout:
            self._push(pathlib.Path(layout))
        first = self._pull("First pull")
        if first.edge_bytes < self.large_bytes:
            raise Failure("the edges did not send the layers")
        second = self._pull("Second pull")
        if second.fill_bytes or second.direct_bytes > self.small_bytes:
            raise Failure("the second pull cost the origin bytes of blobs above the direct-serve limit")
        print(f"\nThe second pull cost the origin {second.direct_bytes:,} bytes of blobs, all of them small ones "
              f"(up to {DIRECT_SERVE_BYTES_MAX:,} bytes), which it serves itself.", flush=True)

    def print_what_to_try(self):
        host = self.stack["registry"].partition("/")[0]
        admin = self.stack["origins"][0]["admin_url"]
        print(f"""
Try it (docker takes plain HTTP on 127.0.0.0/8; podman and skopeo want --tls-verify=false):

  docker login --username x-token --password {self.stack['token']} {host}
  docker pull {self.image}
  docker tag {self.image} {self.stack['registry']}/mine:1
  docker push {self.stack['registry']}/mine:1
  docker pull {self.stack['registry']}/mine:1

Metrics: {admin}/metrics, {' '.join(edge['admin_url'] + '/metrics' for edge in self.stack['edges'])}
Logs:    {self.folder / 'log'}
All of it, with the administrator's token: {self.folder / 'stack.json'}

Ctrl-C stops everything.""", flush=True)

    def _push(self, layout):
        say("making an image from files of this machine")
        sizes = make_image(layout / "image")
        manifest = json.loads((layout / "image" / "index.json").read_text())["manifests"][0]
        content = json.loads((layout / "image" / "blobs" / "sha256" / manifest["digest"].partition(":")[2]).read_text())
        blobs = [content["config"]["size"]] + sizes
        self.large_bytes = sum(size for size in blobs if size > DIRECT_SERVE_BYTES_MAX)
        self.small_bytes = sum(blobs) - self.large_bytes
        seconds = _timed("skopeo", "copy", "--quiet", "--authfile", self.folder / "auth.json",
                         "--dest-tls-verify=false", f"oci:{layout}/image:latest", f"docker://{self.image}")
        total = sum(blobs)
        print(f"\nPush with skopeo: {len(sizes)} layers, {total / MB:.1f} MB in {seconds:.1f} s, "
              f"{total / MB / seconds:.0f} MB/s", flush=True)

    def _pull(self, title):
        before = Traffic(self.stack)
        # podman takes no runroot of more than 50 characters.
        with (tempfile.TemporaryDirectory(prefix="podman-", dir=self.folder, ignore_cleanup_errors=True) as storage,
              tempfile.TemporaryDirectory(prefix="podman-", dir="/tmp", ignore_cleanup_errors=True) as run):
            seconds = _timed("podman", "--root", f"{storage}/root", "--runroot", run, "pull", "--quiet",
                             "--authfile", self.folder / "auth.json", "--tls-verify=false", self.image)
        traffic = Traffic(self.stack).since(before)
        print(f"\n{title}, with podman: {seconds:.1f} s, unpacking included")
        print(f"  {'blob':<20} {'sent by':<24} {'MB':>8} {'seconds':>8} {'MB/s':>6}")
        for line in traffic.lines:
            print("  " + line)
        print(f"  edges sent {traffic.edge_bytes:,} bytes; the origin sent {traffic.fill_bytes:,} to edges and "
              f"{traffic.direct_bytes:,} to the client", flush=True)
        return traffic


class Traffic:
    """Counters of all programs, and how far their access logs reached."""

    def __init__(self, stack):
        self._stack = stack
        edges = [edge["admin_url"] for edge in stack["edges"]]
        self.edge_bytes = sum(http.metric(edge, "depot_edge_served_bytes_total") for edge in edges)
        admin = stack["origins"][0]["admin_url"]
        self.fill_bytes = http.metric(admin, "depot_origin_blob_bytes_total", via="fill")
        self.direct_bytes = http.metric(admin, "depot_origin_blob_bytes_total", via="direct")
        self._senders = [("origin", stack["origins"][0]["log"])] + [
            (f"{edge['name']} in {edge['region']}", edge["log"]) for edge in stack["edges"]]
        self._offsets = {log: os.path.getsize(log) for _, log in self._senders}
        self.lines = []

    def since(self, before):
        """What came after `before`: differences of the counters, and one line per blob sent to the client."""
        for name in ("edge_bytes", "fill_bytes", "direct_bytes"):
            setattr(self, name, getattr(self, name) - getattr(before, name))
        for sender, log in self._senders:
            with open(log, "rb") as file:
                file.seek(before._offsets[log])
                self.lines += filter(None, (_describe(sender, line) for line in file))
        return self


def _describe(sender, line):
    """A line of the report, if this line of an access log is about a blob sent to the client."""
    try:
        record = json.loads(line)
    except ValueError:
        return None
    if record.get("message") != "request" or record["http.method"] != "GET" or record["http.status"] not in (200, 206):
        return None
    path = record["http.path"]
    is_fill = sender == "origin" and path.startswith("/b/v1/")
    if is_fill or not ("/blobs/sha256:" in path or path.startswith("/b/v1/sha256/")):
        return None
    megabytes, seconds = record["http.bytes"] / MB, max(record["http.microseconds"], 1) / 1e6
    blob = "sha256:" + path[-64:][:12]
    return f"{blob:<20} {sender:<24} {megabytes:>8.1f} {seconds:>8.2f} {megabytes / seconds:>6.0f}"


def _timed(*command):
    """Runs a client and returns how many seconds it took."""
    say(f"running {command[0]}")
    began = time.monotonic()
    if subprocess.run([str(word) for word in command], stdout=sys.stderr).returncode != 0:
        raise Failure(f"{shutil.which(command[0])} failed")
    return time.monotonic() - began
