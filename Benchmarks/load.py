# SPDX-License-Identifier: Apache-2.0
"""Rows about an edge under many readers, and about its restart: P14, P15, slow readers, cold pages."""

import contextlib
import hashlib
import os
import pathlib
import subprocess
import threading
import time

from bench import MIB, say
from measure import Row, Sample, memory_bytes, peak_memory_bytes, percentile, reset_peak_memory
from registry import open_loop
from system import finish_push, http, metric, push, wait_until

STREAM_COUNT = 1000
SLOW_BYTES_PER_SECOND = 20_000
COLD_READERS, COLD_BYTES_PER_SECOND = 8, 16_000_000
HOT_CONNECTIONS, HOT_PER_SECOND_EACH = 8, 50


def p14(bench):
    """Memory of an edge with 1,000 plain streams at 20 kB/s: warm, with cold pages, and of a cold blob."""
    digest, size = bench.pushed("large", bench.large), bench.large
    system, seconds = bench.system, bench.arguments.seconds + 4

    def peak(what, options=()):
        row = Row(f"P14 memory with 1,000 streams of {bench.arguments.size_mib} MiB, {what}", "MiB", "≤ 128",
                  lower_is_better=True)
        host, port = system.edge_address
        reset_peak_memory([system.edge["pid"]])
        with bench.streaming(
                host, port, STREAM_COUNT, [system.link(digest)], SLOW_BYTES_PER_SECOND, seconds, options):
            say(f"P14 {what}: all stream")
        row.peak = peak_memory_bytes([system.edge["pid"]])
        row.ours.append(Sample(row.peak / MIB))
        return row
    rows = []
    with system.other_edge(bench.work, "streams-cold"):
        rows.append(peak("cold blob"))
    with system.other_edge(bench.work, "streams"):
        host, port = system.edge_address
        bench.sink(host, port, 1, [system.link(digest)], requests=1)
        wait_until("the blob is not complete", lambda: is_complete(system, digest), 30)
        rows.append(peak("warm"))
        with dropped_pages([system.cached_file(digest)], again_seconds=0.25):
            rows.append(peak("cold pages, at 1,000 places", ["-s", size]))
    return rows


def is_complete(system, digest):
    try:
        return system.cached_file(digest)
    except SystemExit:
        return None


@contextlib.contextmanager
def dropped_pages(files, again_seconds=None):
    """Takes the files' pages out of memory before the body runs and, if told so, again and again while it runs: then
    also those that were just read and checked, and are about to be sent."""
    descriptors = [os.open(file, os.O_RDONLY) for file in files]
    is_over = threading.Event()

    def drop():
        for descriptor in descriptors:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)

    def drop_again():
        while not is_over.wait(again_seconds):
            drop()
    dropper = threading.Thread(target=drop_again)
    try:
        for descriptor in descriptors:
            os.fsync(descriptor)  # Pages that are not written yet cannot be dropped.
        drop()
        if again_seconds:
            dropper.start()
        yield
    finally:
        is_over.set()
        if dropper.ident is not None:
            dropper.join()
        for descriptor in descriptors:
            os.close(descriptor)


def slow_readers(bench):
    """8 fast readers beside 1,000 of 20 kB/s; the peer is ours without the slow ones."""
    digest, system = bench.pushed("large", bench.large), bench.system
    host, port = system.edge_address
    link = system.link(digest)
    bench.sink(host, port, 1, [link], requests=2)

    def fast():
        result = bench.sink(host, port, 8, [link], seconds=bench.arguments.seconds)
        return result["bytes"] / 1e9 / result["seconds"], result["bytes"]

    def beside(_):
        with bench.streaming(host, port, STREAM_COUNT, [link], SLOW_BYTES_PER_SECOND, bench.arguments.seconds + 3):
            return fast()
    row = Row("slow-readers: 8 fast beside 1,000 slow (peer: ours without the slow)", "GB/s", "≥ 0.9")
    return [bench.pairs(row, beside, lambda _: fast(), [system.edge["pid"]], [system.edge["pid"]])]


def cold_pages(bench):
    """p99 of a hot request of 16 KiB beside readers of cold pages; the peer is ours with the pages warm."""
    system = bench.system
    seconds = bench.arguments.seconds
    # No reader comes to its blob's end, so that each page is read once.
    size = int(COLD_BYTES_PER_SECOND * (seconds + 4)) // MIB * MIB
    digests = [bench.pushed(f"pages{index}", size) for index in range(COLD_READERS)]
    hot = system.link(bench.pushed("hot", 16 * 1024))
    host, port = system.edge_address
    links = [system.link(digest) for digest in digests]

    def warm_up():
        bench.sink(host, port, 1, [*links, hot], requests=2 * (len(links) + 1))
    warm_up()
    for digest in digests:
        wait_until("a blob is not complete", lambda: is_complete(system, digest), 30)
    files = [system.cached_file(digest) for digest in digests]

    def hot_p99():
        """The p99 in ms, and how much of what the readers got was read from the disk for it."""
        before = metric(system.edge["admin_url"], "depot_edge_checked_pieces_total")
        with bench.streaming(host, port, COLD_READERS, links, COLD_BYTES_PER_SECOND, seconds + 2) as readers:
            times = open_loop(bench, f"http://{host}:{port}{hot}", 200, HOT_CONNECTIONS, HOT_PER_SECOND_EACH,
                              int(HOT_CONNECTIONS * HOT_PER_SECOND_EACH * seconds))
        checked = metric(system.edge["admin_url"], "depot_edge_checked_pieces_total") - before
        say(f"cold-pages: p99 {percentile(times, 99):.1f} ms, {checked:.0f} pieces read from the disk, readers "
            f"{readers['bytes'] / 1e6 / readers['seconds']:.0f} MB/s")
        return percentile(times, 99), checked * MIB / readers["bytes"]

    def cold(again_seconds):
        def body(_):
            with dropped_pages(files, again_seconds):
                p99, share = hot_p99()
            if share < 0.5:
                raise SystemExit(f"cold-pages: only {share:.2f} of what was sent was read from the disk and checked")
            return p99, 0
        return body

    def warm(_):
        p99, share = hot_p99()
        if share > 0.1:
            raise SystemExit(f"cold-pages: {share:.2f} of what was sent from warm pages was read from the disk")
        return p99, 0
    what = f"16 KiB hot, p99, beside {COLD_READERS} × {COLD_BYTES_PER_SECOND // 10**6} MB/s of cold pages (peer: warm)"
    rows = [(Row(f"cold-pages: {what}", "ms", "≤ 2", lower_is_better=True), None),
            (Row("cold-pages: the same, dropped again 4 times a second", "ms", "≤ 2", lower_is_better=True), 0.25)]
    pids = [system.edge["pid"]]
    return [bench.pairs(row, cold(again_seconds), warm, pids, pids, before_peer=warm_up)
            for row, again_seconds in rows]


# Restart

def fill_cache(cache, count):
    """Adds `count` files with the names of complete blobs. They are empty: a start reads names only, and deleting a
    million files that have blocks takes most of an hour where the file system discards each block at once."""
    for folder in range(256):
        (cache / "c" / f"{folder:02x}").mkdir(parents=True, exist_ok=True)
    for number in range(count):
        name = f"{hashlib.sha256(number.to_bytes(8, 'big')).hexdigest()}.4096"
        os.close(os.open(f"{cache}/c/{name[:2]}/{name}", os.O_WRONLY | os.O_CREAT, 0o600))
        if number % 100_000 == 99_999:
            say(f"P15 made {number + 1} of {count} cached blobs")


def drop_caches():
    os.sync()
    pathlib.Path("/proc/sys/vm/drop_caches").write_text("3")


def p15(bench):
    """Restart of an edge with 1 M cached blobs, none of them in memory: first hit, index complete (needs root)."""
    count, system = bench.arguments.cached_blobs, bench.system
    if os.statvfs(bench.work).f_favail < 2 * count:
        raise SystemExit("P15: not enough inodes")
    content, file = os.urandom(8), bench.work / "tiny"
    file.write_bytes(content)
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    finish_push(push(system.repository_url, file, digest, system.basic))
    first_hit = Row(f"P15 restart with {count:,} cached blobs: first hit", "s", "≤ 0.5", lower_is_better=True)
    complete = Row("P15 the same: index complete", "s", "≤ 10", lower_is_better=True)
    index = Row("P15 the same: index, bytes per blob", "B", "≤ 100", lower_is_better=True)
    resident = Row(
        "P15 the same: resident memory over an empty cache's, bytes per blob", "B", "–", lower_is_better=True)
    # The background scrub would find out what the files are.
    os.environ["DEPOT_SCRUB_BYTES_PER_SECOND"] = "0"
    with contextlib.ExitStack() as closing:
        closing.callback(os.environ.pop, "DEPOT_SCRUB_BYTES_PER_SECOND")
        closing.enter_context(system.other_edge(bench.work, "restart"))
        host, port = system.edge_address
        url = f"http://{host}:{port}{system.link(digest)}"
        if http("GET", url)[::2] != (200, content):
            raise SystemExit("P15: the blob does not come")
        wait_until("the blob is not complete", lambda: is_complete(system, digest), 10)
        empty_bytes = memory_bytes(system.edge["pid"], "VmRSS")
        fill_cache(pathlib.Path(system.edge["cache"]), count)
        for _ in range(min(3, bench.arguments.pairs)):
            system.stop_edge(kills=True)
            drop_caches()
            # The machine runs on: the program's own pages are in memory, those of its cache are not.
            subprocess.run([system.programs / "depot-edge", "--version"], check=True, stdout=subprocess.DEVNULL)
            began = time.monotonic()
            system.edge = system.start_edge(system.edge["cache"], system.edge["log"])
            wait_for_hit(url, content)
            first_hit.ours.append(Sample(time.monotonic() - began))
            wait_until("the index is not complete", lambda: blob_count(system) > count, 120)
            complete.ours.append(Sample(time.monotonic() - began))
            index.ours.append(Sample(metric(system.edge["admin_url"], "depot_edge_cache_index_bytes") / count))
            resident.ours.append(Sample((memory_bytes(system.edge["pid"], "VmRSS") - empty_bytes) / count))
            complete.peak = max(complete.peak, peak_memory_bytes([system.edge["pid"]]))
    return [first_hit, complete, index, resident]


def wait_for_hit(url, content):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):  # Nobody listens yet.
            if http("GET", url)[::2] == (200, content):
                return
        time.sleep(0.002)
    raise SystemExit("P15: no hit within a minute")


def blob_count(system):
    return metric(system.edge["admin_url"], "depot_edge_cache_blobs")
