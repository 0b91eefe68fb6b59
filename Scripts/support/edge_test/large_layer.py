# SPDX-License-Identifier: Apache-2.0
"""A layer of several GiB, as docker pulls it, and as containerd 2 does, chunk by chunk."""

import base64
import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import threading
import time

from ..console import Failure, say
from ..crash.client import Body, Client
from ..processes import start, stop_all, wait_until
from .client import Answer, EdgeClient, Ending
from .content import MIB, Content
from .report import size
from .system import join_all, start_threads

# What containerd does with `concurrent_layer_fetch_buffer` set: a range without an end, of which it reads a chunk and
# hangs up; each chunk begins at the registry anew.
CHUNK_BYTES, CHUNK_WORKER_COUNT = 8 * MIB, 8
OVERFETCH_MAX = 1.05  # Bytes that leave the origin for each byte of the blob.
RUN_SECONDS_MAX = 1800
_COMMAND_SECONDS_MAX = 900
_DAEMON_SECONDS_MAX = 60
_TAR_BLOCK_BYTES = 512
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
SHORT_BYTES, LONG_BYTES = 256 * MIB, 5120 * MIB


class LargeLayer:
    """docker through a cold edge, then through a warm one; then containerd's pattern on another cold blob."""

    def __init__(self, system, report, byte_count, seed, folder):
        if os.geteuid() != 0:
            raise Failure("large-layer runs a docker daemon of its own: run it as root")
        self._system, self._report, self._bytes, self._seed, self._folder = system, report, byte_count, seed, folder
        content = Content(f"{seed}/large layer")
        self._layer, self._other = _layer(content, byte_count), content.blob(byte_count)
        self._tag = "latest"

    def run(self):
        """Returns whether nothing was violated."""
        began = time.monotonic()
        self._system.push([self._layer, self._other])
        self._push_image()
        with _Docker(self._folder, self._system.description) as docker:
            reference = f"{self._system.description['registry']}/edge-test:{self._tag}"
            cold, warm = self._pull(docker, reference), self._pull(docker, reference)
        self._report.demand(cold.share <= OVERFETCH_MAX, f"docker, cold: the origin sent {cold.share:.3f} x the layer")
        self._report.demand(cold.served >= 0.99, f"docker, cold: the edge sent {cold.served:.3f} x the layer")
        self._report.demand(warm.share == 0, f"docker, warm: the origin sent {warm.share:.3f} x the layer")
        self._report.demand(warm.served >= 0.99, f"docker, warm: the edge sent {warm.served:.3f} x the layer")
        seconds, share, chunk_count = self._read_in_chunks()
        self._report.demand(share <= OVERFETCH_MAX, f"in chunks: the origin sent {share:.3f} x the blob")
        return self._report.finish(
            f"layer of {size(self._bytes)}, seed {self._seed}; docker, cold edge: {cold.seconds:.1f} s, origin bytes "
            f"{cold.share:.3f} x; warm edge: {warm.seconds:.1f} s, {warm.share:.3f} x; {chunk_count} open-ended "
            f"ranges, {CHUNK_WORKER_COUNT} at once, {size(CHUNK_BYTES)} read of each: {seconds:.1f} s, origin bytes "
            f"{share:.3f} x", began, time.monotonic())

    # docker

    def _push_image(self):
        description = self._system.description
        client = Client(description["origin"], description["token"])
        config = json.dumps({
            "architecture": _ARCHITECTURES.get(os.uname().machine, os.uname().machine), "os": "linux",
            "config": {"Cmd": ["/none"]}, "rootfs": {"type": "layers", "diff_ids": [self._layer.digest]},
        }).encode()
        config_digest = f"sha256:{hashlib.sha256(config).hexdigest()}"
        path = f"/v2/{self._system.repository}"
        client.ask("POST", f"{path}/blobs/uploads/?digest={config_digest}", body=Body.of(config)).expect(201)
        media_type = "application/vnd.oci.image.manifest.v1+json"
        manifest = json.dumps({
            "schemaVersion": 2, "mediaType": media_type,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config_digest,
                       "size": len(config)},
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": self._layer.digest,
                        "size": self._layer.size}],
        }).encode()
        client.ask("PUT", f"{path}/manifests/{self._tag}", {"Content-Type": media_type}, Body.of(manifest)).expect(201)
        client.close()

    def _pull(self, docker, reference):
        """One pull into an empty store; docker itself compares the digest of what it got."""
        docker.run("system", "prune", "--all", "--force")
        origin_before, served_before = self._system.origin_bytes(), self._served_bytes()
        began = time.monotonic()
        docker.run("pull", "--quiet", reference)
        seconds = time.monotonic() - began
        layers = json.loads(docker.run("image", "inspect", "--format", "{{json .RootFS.Layers}}", reference))
        self._report.demand(layers == [self._layer.digest], f"docker has the layers {layers}")
        return _Pull(seconds, (self._system.origin_bytes() - origin_before) / self._layer.size,
                     (self._served_bytes() - served_before) / self._layer.size)

    def _served_bytes(self):
        return self._system.metric("depot_edge_served_bytes_total")

    # containerd's pattern

    def _read_in_chunks(self):
        blob, lock = self._other, threading.Lock()
        starts = iter(range(0, blob.size, CHUNK_BYTES))
        origin_before, began = self._system.origin_bytes(), time.monotonic()
        counted = {"chunks": 0}

        def read(_):
            with contextlib.closing(self._system.link_source()) as source:
                while True:
                    with lock:
                        start = next(starts, None)
                    if start is None:
                        return
                    self._read_chunk(source, blob, start)
                    with lock:
                        counted["chunks"] += 1
        threads = start_threads(CHUNK_WORKER_COUNT, read, self._report)
        join_all(threads, RUN_SECONDS_MAX)
        self._report.demand(counted["chunks"] == -(-blob.size // CHUNK_BYTES), "not all chunks were read")
        seconds = time.monotonic() - began
        return seconds, (self._system.origin_bytes() - origin_before) / blob.size, counted["chunks"]

    def _read_chunk(self, source, blob, start):
        link = source.link(blob)
        if link is None:
            self._report.violation("the origin sends nobody to the edge")
            return
        client = EdgeClient()
        answer = client.get(link, Answer(blob, start, blob.size), is_open=True, hang_up_at=start + CHUNK_BYTES)
        client.close()
        self._report.demand(answer.is_good and answer.ending in (Ending.HUNG_UP, Ending.COMPLETE), str(answer))


class _Pull:
    """Seconds, and bytes sent by the origin and by the edge as multiples of the layer's."""

    def __init__(self, seconds, share, served):
        self.seconds, self.share, self.served = seconds, share, served


def _layer(content, byte_count):
    """A tar with one file of random bytes, `byte_count` bytes in all, rounded to tar's blocks."""
    end = bytes(2 * _TAR_BLOCK_BYTES)
    entry = tarfile.TarInfo("layer")
    entry.size = byte_count // _TAR_BLOCK_BYTES * _TAR_BLOCK_BYTES - len(end) - _TAR_BLOCK_BYTES
    header = entry.tobuf(tarfile.USTAR_FORMAT)
    return content.wrapped_blob("layer", header, len(header) + entry.size + len(end), end)


class _Docker:
    """docker with a daemon of its own, next to whatever docker the machine runs."""

    def __init__(self, folder, description):
        self._home = folder / "docker"
        self._home.mkdir()
        socket = f"unix://{self._home}/socket"
        self._client = ["docker", "--config", str(self._home), "--host", socket]
        credential = base64.b64encode(f"x-token:{description['token']}".encode()).decode()
        host = description["registry"].partition("/")[0]
        configuration = json.dumps({"auths": {host: {"auth": credential}}})
        (self._home / "config.json").write_text(configuration)
        self._daemon = ["dockerd", "--host", socket, "--data-root", self._home / "data", "--exec-root",
                        self._home / "exec", "--pidfile", self._home / "pid", "--iptables=false", "--ip6tables=false",
                        "--bridge=none", "--storage-driver=vfs"]
        self._log = self._home / "log"

    def __enter__(self):
        say("starting dockerd")
        self._process = start(self._daemon, self._log)
        try:
            wait_until("dockerd does not answer", self._answers, _DAEMON_SECONDS_MAX, self._process, self._log)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        stop_all([self._process])
        shutil.rmtree(self._home, ignore_errors=True)

    def run(self, *arguments):
        """What docker prints."""
        say(f"docker {arguments[0]}")
        done = subprocess.run([*self._client, *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                              timeout=_COMMAND_SECONDS_MAX)
        if done.returncode != 0:
            raise Failure(f"docker {arguments[0]} failed: {done.stderr.strip()}")
        return done.stdout

    def _answers(self):
        return subprocess.run([*self._client, "version"], capture_output=True, timeout=30).returncode == 0
