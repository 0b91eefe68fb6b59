# SPDX-License-Identifier: Apache-2.0
"""Rows about blobs that the edge does not have yet: P5 to P9."""

import contextlib
import os

from bench import MIB, say
from measure import Measurement, Row, Sample, peak_memory_bytes, percentile, reset_peak_memory
from path import LongPath, FarSystem
from peers import Nginx
from system import finish_push, metric, push, random_file


def p5(bench):
    """Cold large blob through an edge on the loopback, wall time, beside nginx's slice cache."""
    system, nginx = bench.system, bench.nginx
    names = [f"cold{i}" for i in range(bench.arguments.pairs)]
    for name in names:
        bench.pushed(name, bench.large)

    def ours(index):
        host, port = system.edge_address
        result = bench.sink(host, port, 1, [system.link(bench.blobs[names[index]])], requests=1)
        return result["seconds"], result["bytes"]

    def peer(index):
        result = bench.sink(nginx.host, nginx.cache_port, 1, ["/" + names[index]], requests=1)
        return result["seconds"], result["bytes"]

    def settle():
        """What was written before is on disk, so that neither side waits for it. A virtual machine may give free memory
        back to its host, and then pays 1.5 s for each GiB that it touches anew: what a file had that goes now is taken
        first, by either side."""
        os.sync()
        file = bench.work / "ballast"
        with open(file, "wb", buffering=0) as ballast:
            for _ in range(bench.large * 5 // 4 // MIB):
                ballast.write(bytes(MIB))
        file.unlink()

    row = Row(f"P5 cold {bench.arguments.size_mib} MiB through an edge", "s", "≤ 0.8", lower_is_better=True)
    return [bench.pairs(row, ours, peer, [system.edge["pid"], system.origin_pid], nginx.pids(), settle, settle)]


@contextlib.contextmanager
def far(bench, **path_options):
    """A system at both ends of a path: 50 ms and 1 Gbit/s unless told otherwise."""
    with contextlib.ExitStack() as closing:
        path = LongPath(bench.relay_program, **path_options)
        closing.callback(path.close)
        system = FarSystem(path, bench.work / f"far{len(list(bench.work.glob('far*')))}", bench.programs)
        closing.callback(system.close)
        yield path, system


def p6(bench):
    """The same with 50 ms RTT and 1 Gbit/s between origin and edge (two network namespaces; needs root)."""
    count = bench.arguments.pairs
    with far(bench) as (path, system), contextlib.ExitStack() as closing:
        with system.at_origin() as host:
            parent = Nginx(bench.work / "nginx-far", bench.certificate, host)
            closing.callback(parent.stop)
            digests = []
            for index in range(count):
                file = parent.static_root / f"cold{index}"
                digests.append(random_file(file, bench.large))
                finish_push(push(system.repository_url, file, digests[-1], system.basic))
        with system.at_edge() as host:
            cache = Nginx(bench.work / "nginx-near", bench.certificate, host,
                          f"{parent.host}:{parent.static_port}")
            closing.callback(cache.stop)
        bench.note(path.proof(bench, parent, "cold0"))

        def ours(index):
            with system.at_edge():
                host, port = system.edge_address
                result = bench.sink(host, port, 1, [system.link(digests[index])], requests=1)
            return result["seconds"], result["bytes"]

        def peer(index):
            with system.at_edge():
                result = bench.sink(cache.host, cache.cache_port, 1, [f"/cold{index}"], requests=1)
            return result["seconds"], result["bytes"]
        row = Row(f"P6 cold {bench.arguments.size_mib} MiB, 50 ms RTT, 1 Gbit/s", "s", "≤ 0.3", lower_is_better=True)
        before = path.report()["forth"]
        bench.pairs(row, ours, peer, [system.edge["pid"], system.origin_pid], parent.pids() + cache.pids())
        after = path.report()["forth"]
        bench.note(f"path during P6, both sides together: {after['bytes'] - before['bytes']} bytes on the line, "
                   f"{after['dropped'] - before['dropped']} reads dropped by the full queue; the line alone needs "
                   f"{path.line_seconds(bench.large):.2f} s for {bench.arguments.size_mib} MiB")
        return [row]


def p7(bench):
    """Miss: first byte at the edge minus the parent's first byte; on the loopback, and over 50 ms (needs root)."""
    size = bench.arguments.first_byte_mib * MIB
    near = Row(f"P7 miss of {bench.arguments.first_byte_mib} MiB: first byte minus the parent's, p50", "ms", "≤ 5",
               lower_is_better=True)
    system = bench.system
    digests = []
    for index in range(bench.arguments.misses):
        digests.append(bench.pushed(f"miss{index}", size))
        (bench.nginx.static_root / f"miss{index}").unlink()  # The peer has no part in this row.
        del bench.blobs[f"miss{index}"]
    first_bytes(bench, near, system, digests, "loopback")
    distant = Row("P7 the same, 50 ms RTT to the parent", "ms", "–", lower_is_better=True)
    with far(bench) as (path, system):
        digests, file = [], bench.work / "miss"
        with system.at_origin():
            for _ in range(bench.arguments.misses):
                digests.append(random_file(file, size))
                finish_push(push(system.repository_url, file, digests[-1], system.basic))
        file.unlink()
        bench.note(f"path of P7: ping {min(path.ping()):.1f} ms at least")
        with system.at_edge():
            first_bytes(bench, distant, system, digests, "50 ms")
    return [near, distant]


def first_bytes(bench, row, system, digests, where):
    """Each blob cold at the edge, then the same from the parent, with the edge's own link to it."""
    edge_times, parent_times = [], []
    reset_peak_memory([system.edge["pid"]])
    host, port = system.edge_address
    for digest in digests:
        link = system.link(digest)
        system.wait_idle()
        ours = bench.sink(host, port, 1, [link], requests=1, options=["-f"])
        system.wait_idle()
        parent_host, parent_port, target = system.parent_link(link)
        parent = bench.sink(parent_host, parent_port, 1, [target], requests=1, options=["-f"])
        edge_times.append(ours["p50_ms"])
        parent_times.append(parent["p50_ms"])
    differences = [ours - parent for ours, parent in zip(edge_times, parent_times)]
    row.ours = [Sample(difference) for difference in differences]
    row.peak = peak_memory_bytes([system.edge["pid"]])
    bench.note(
        f"P7, {where}, {len(digests)} blobs: first byte at the edge p50 {percentile(edge_times, 50):.2f} p99 "
        f"{percentile(edge_times, 99):.2f} ms, at the parent p50 {percentile(parent_times, 50):.2f} p99 "
        f"{percentile(parent_times, 99):.2f} ms")


def p8(bench):
    """64 clients at once on one cold 256 MiB blob: what the origin sends, in sizes of the blob."""
    size = min(256, bench.arguments.size_mib) * MIB
    system = bench.system
    row = Row(f"P8 64 clients, one cold {size // MIB} MiB blob: blob bytes from origin ÷ size", "×", "1.00")
    reset_peak_memory([system.edge["pid"]])
    for index in range(min(3, bench.arguments.pairs)):
        host, port = system.edge_address
        link = system.link(bench.pushed(f"herd{index}", size))
        before = metric(system.origin_admin, "depot_origin_blob_bytes_total")
        with Measurement([system.edge["pid"]]) as measured:
            result = bench.sink(host, port, 64, [link], requests=64)
        if result["bytes"] != 64 * size:
            raise SystemExit(f"P8: {result['bytes']} bytes arrived, expected {64 * size}")
        sent = metric(system.origin_admin, "depot_origin_blob_bytes_total") - before
        row.ours.append(Sample(sent / size, measured.cpu, result["bytes"]))
    row.peak = peak_memory_bytes([system.edge["pid"]])
    return [row]


def herd(bench):
    """64 clients at once on one cold 256 MiB blob over 20 MB/s: until the last is done; the peer is one client alone
    (needs root)."""
    size, count = min(256, bench.arguments.size_mib) * MIB, 64
    row = Row(f"herd: {count} clients, one cold {size // MIB} MiB blob over 20 MB/s (peer: ours, one client)", "s",
              "≤ 1.3", lower_is_better=True)
    sent = []
    with far(bench, round_trip_ms=10, rate_mbit=160) as (_, system):
        digests, file = [], bench.work / "herd"
        with system.at_origin():
            for _ in range(2 * bench.arguments.pairs):
                digests.append(random_file(file, size))
                finish_push(push(system.repository_url, file, digests[-1], system.basic))
        file.unlink()

        def clients(number):
            def body(_):
                host, port = system.edge_address
                link = system.link(digests.pop())
                before = metric(system.origin_admin, "depot_origin_blob_bytes_total")
                result = bench.sink(host, port, number, [link], requests=number)
                system.wait_idle()
                sent.append((metric(system.origin_admin, "depot_origin_blob_bytes_total") - before) / size)
                if result["bytes"] != number * size:
                    raise SystemExit(f"herd: {result['bytes']} bytes arrived, expected {number * size}")
                return result["seconds"], result["bytes"]
            return body
        with system.at_edge():
            pids = [system.edge["pid"]]
            bench.pairs(row, clients(count), clients(1), pids, pids)
        bench.note(f"herd: blob bytes from the origin ÷ size, of each blob: {min(sent):.3f}–{max(sent):.3f}")
        return [row]


def p9(bench):
    """A range of 1 MiB inside one chunk of a cold blob of 8 GiB: what the origin sends."""
    size = bench.arguments.range_gib << 30
    chunk = 8 * MIB
    system = bench.system
    digest, _, seconds = system.stream_push(size, "P9")
    say(f"P9 pushed {size / 1e9 / seconds:.3f} GB/s")
    row = Row(f"P9 1 MiB of a cold {bench.arguments.range_gib} GiB blob: blob bytes from origin", "MiB", "≤ 8",
              lower_is_better=True)
    host, port = system.edge_address
    reset_peak_memory([system.edge["pid"]])
    for index in range(5):
        # Far apart, and not at the start of the chunk.
        start = size // 5 * index // chunk * chunk + 3 * MIB
        link = system.link(digest)
        before = metric(system.origin_admin, "depot_origin_blob_bytes_total")
        result = bench.sink(host, port, 1, [link], requests=1, headers=[f"Range: bytes={start}-{start + MIB - 1}"])
        if result["bytes"] != MIB:
            raise SystemExit(f"P9: {result['bytes']} bytes arrived, expected {MIB}")
        system.wait_idle()  # Read-ahead that nobody asked for counts, too.
        sent = metric(system.origin_admin, "depot_origin_blob_bytes_total") - before
        row.ours.append(Sample(sent / MIB))
    row.peak = peak_memory_bytes([system.edge["pid"]])
    return [row]
