# SPDX-License-Identifier: Apache-2.0
"""Rows about the registry itself: P10 to P13."""

import hashlib
import json
import os
import subprocess
import urllib.parse

from bench import say
from measure import Measurement, Row, Sample, peak_memory_bytes, percentile, reset_peak_memory
from system import finish_push, http, push, random_file


def p10(bench):
    """Push of large blobs, 1 and 4 at once, beside docker-registry."""
    system, registry = bench.system, bench.registry
    paths = [bench.work / f"push{index}" for index in range(4)]
    for path in paths:
        random_file(path, bench.large)
    digests = {}

    def renew():
        """Other content for the next pair: what is stored already costs a registry more, or less."""
        for path in paths:
            with open(path, "r+b") as data:
                data.write(os.urandom(32))
                data.seek(0)
                digests[path] = "sha256:" + hashlib.file_digest(data, "sha256").hexdigest()

    def pushes(url, authorization, count):
        def body(_):
            running = [push(url, path, digests[path], authorization) for path in paths[:count]]
            for process in running:
                finish_push(process)
            return lambda seconds: (count * bench.large / 1e9 / seconds, count * bench.large)
        return body
    peer = f"http://127.0.0.1:{registry.port}/v2/bench"
    return [bench.pairs(
        Row(f"P10 push {bench.arguments.size_mib} MiB, {count} at once", "GB/s", "≥ 1.5"),
        pushes(system.repository_url, system.basic, count), pushes(peer, None, count),
        [system.origin_pid], registry.pids(), before_ours=renew, before_peer=registry.wipe)
        for count in (1, 4)]


def p11(bench):
    """One streamed push of many GiB, as docker sends it: from the last byte to the 201."""
    system, size = bench.system, bench.arguments.push_gib << 30
    row = Row(f"P11 last byte of a {bench.arguments.push_gib} GiB push → 201", "s", "≤ 1", lower_is_better=True)
    reset_peak_memory([system.origin_pid])
    with Measurement([system.origin_pid]) as measured:
        _, committed, streamed = system.stream_push(size, "P11")
    say(f"{size / 1e9 / streamed:.3f} GB/s until the last byte")
    row.ours.append(Sample(committed, measured.cpu, size))
    row.peak = peak_memory_bytes([system.origin_pid])
    return [row]


MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"


class Asked:
    """A repository of a registry with one small image, and requests for it over 64 connections."""

    def __init__(self, bench, origin, repository, authorization=None):
        self.bench, self.origin, self.place = bench, origin, urllib.parse.urlsplit(origin)
        self.repository = "/v2/" + repository
        config = b"{}"
        self.digest = "sha256:" + hashlib.sha256(config).hexdigest()
        manifest = json.dumps({
            "schemaVersion": 2, "mediaType": MANIFEST_TYPE,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": self.digest, "size": 2},
            "layers": []}).encode()
        path = bench.work / "config"
        path.write_bytes(config)
        finish_push(push(origin + self.repository, path, self.digest, authorization))
        headers = {"Content-Type": MANIFEST_TYPE, **({"Authorization": authorization} if authorization else {})}
        status, _, body = http("PUT", f"{origin}{self.repository}/manifests/v1", headers, manifest)
        if status != 201:
            raise SystemExit(f"manifest refused: {status} {body!r}")

    @classmethod
    def of(cls, bench, system):
        return cls(bench, system.origin, system.repository, system.basic)

    def manifests(self, headers=()):
        return self._read("/manifests/v1", ["Accept: " + MANIFEST_TYPE, *headers])

    def blobs(self, headers=(), method="GET"):
        return self._read("/blobs/" + self.digest, headers, method)

    def _read(self, path, headers, method="GET"):
        def body(_):
            result = self.bench.sink(
                self.place.hostname, self.place.port, 64, [self.repository + path],
                seconds=self.bench.arguments.seconds, method=method, headers=headers)
            return result["requests"] / result["seconds"], 0
        return body


def p12(bench):
    """P12 and P13: manifests by tag and redirects of a blob beside docker-registry; redirects in an open loop."""
    system, registry = bench.system, bench.registry
    ours, peer = Asked.of(bench, system), Asked(bench, f"http://127.0.0.1:{registry.port}", "bench")
    bearer = system.bearer()
    manifests = bench.pairs(
        Row("P12 manifest GET by tag, 64 connections", "req/s", "≥ 4"),
        ours.manifests([bearer]), peer.manifests(), [system.origin_pid], registry.pids())
    redirects = bench.pairs(
        Row("P13 307 for a blob (peer: blob HEAD)", "req/s", "≥ 4"),
        ours.blobs([bearer]), peer.blobs(method="HEAD"), [system.origin_pid], registry.pids())
    url = f"{system.origin}{ours.repository}/blobs/{ours.digest}"
    return [manifests, redirects, redirects_in_open_loop(bench, url, bearer)]


def before(bench):
    """P12 and P13 beside ourselves as we were: the peer is the origin of --before FOLDER."""
    now, former = bench.system, bench.former_system
    sides = [(Asked.of(bench, system), system.bearer()) for system in (now, former)]
    pids = [now.origin_pid], [former.origin_pid]
    return [
        bench.pairs(Row("before: manifest GET by tag, 64 connections (P12)", "req/s", "≥ 0.95"),
                    *(asked.manifests([bearer]) for asked, bearer in sides), *pids),
        bench.pairs(Row("before: 307 for a blob, 64 connections (P13)", "req/s", "≥ 0.95"),
                    *(asked.blobs([bearer]) for asked, bearer in sides), *pids),
    ]


def redirects_in_open_loop(bench, url, bearer):
    origin_pid = bench.system.origin_pid
    row = Row("P13 the same, 1,000 connections at 2,000 req/s in all: p99", "ms", "≤ 20", lower_is_better=True)
    reset_peak_memory([origin_pid])
    for _ in range(min(3, bench.arguments.pairs)):
        with Measurement([origin_pid]) as measured:
            # Begun within a moment, they would all ask at the same instants: 1,000 at once, twice a second.
            times = open_loop(bench, url, 307, connections=1000, per_second_each=2, count=20000,
                              options=["--rate", "4", "--rate-period", "10ms", "-H", bearer])
        row.ours.append(Sample(percentile(times, 99), measured.cpu))
    row.peak = peak_memory_bytes([origin_pid])
    return row


def open_loop(bench, url, status, connections, per_second_each, count, options=()):
    """Latencies in ms of requests that come when they come, whether or not earlier ones were answered: what waits in a
    line is counted."""
    log = bench.work / "h2load"
    log.unlink(missing_ok=True)
    subprocess.run(
        ["h2load", "--h1", "-c", str(connections), "-t", "1", "--rps", str(per_second_each), "-n", str(count),
         f"--log-file={log}", *options, url], check=True, stdout=subprocess.DEVNULL)
    lines = [line.split("\t") for line in log.read_text().splitlines()]
    if len(lines) != count or any(line[1] != str(status) for line in lines):
        raise SystemExit(f"open loop: {len(lines)} answers of {count}, or not all of them {status}")
    return [int(line[2]) / 1000 for line in lines]
