# SPDX-License-Identifier: Apache-2.0
"""Rows about blobs that the edge has: P1 to P4."""

import hashlib
import subprocess

from bench import MIB
from measure import Row


def hits(bench, name, unit, reach, blobs, connections, in_requests=False, peer_port=None, options=()):
    """Reads blobs that both sides have in memory for some seconds."""
    system, nginx = bench.system, bench.nginx
    peer_port = peer_port or nginx.static_port
    host, port = system.edge_address
    targets = [system.link(digest) for _, digest in blobs]
    bench.sink(host, port, 1, targets, requests=2 * len(targets), options=options)
    statics = ["/" + name for name, _ in blobs]
    bench.sink(nginx.host, peer_port, 1, statics, requests=2 * len(statics), options=options)

    def read(host, port, targets):
        def body(_):
            result = bench.sink(host, port, connections, targets, seconds=bench.arguments.seconds, options=options)
            count = result["requests"] if in_requests else result["bytes"] / 1e9
            return count / result["seconds"], result["bytes"]
        return body
    return bench.pairs(
        Row(name, unit, reach), read(host, port, targets), read(nginx.host, peer_port, statics),
        [system.edge["pid"]], nginx.pids())


def p1(bench):
    """Edge hit of a large blob, 1, 8 and 64 connections, beside nginx's sendfile."""
    blobs = [("large", bench.pushed("large", bench.large))]
    return [hits(bench, f"P1 edge hit {bench.arguments.size_mib} MiB, {counted(c)}", "GB/s", "≥ 1.0", blobs, c)
            for c in (1, 8, 64)]


def p2(bench):
    """Edge hits of 1 MiB, 16 connections, beside nginx."""
    blobs = [(f"mib{i}", bench.pushed(f"mib{i}", MIB)) for i in range(32)]
    return [hits(bench, "P2 edge hit 1 MiB, 16 connections", "req/s", "≥ 1.0", blobs, 16, in_requests=True)]


def p3(bench):
    """Edge hits of 4 KiB, 64 connections, beside nginx."""
    blobs = [(f"kib{i}", bench.pushed(f"kib{i}", 4096)) for i in range(64)]
    return [hits(bench, "P3 edge hit 4 KiB, 64 connections", "req/s", "≥ 1.0", blobs, 64, in_requests=True)]


def p4(bench):
    """Edge hit of a large blob over TLS 1.3, 1 and 8 connections, beside nginx with the same certificate."""
    digest = bench.pushed("large", bench.large)
    certificate = bench.certificate
    options = ["--tls-certificate", certificate.path, "--tls-key", certificate.key_path]
    with bench.system.other_edge(bench.work, "tls-edge", options):
        host, port = bench.system.edge_address
        for side, url in (("edge", f"https://{host}:{port}{bench.system.link(digest)}"),
                          ("nginx", f"https://127.0.0.1:{bench.nginx.tls_port}/large")):
            check_over_tls(side, url, certificate, digest)
        return [hits(bench, f"P4 edge hit {bench.arguments.size_mib} MiB over TLS, {counted(c)}", "GB/s", "≥ 1.0",
                     [("large", digest)], c, peer_port=bench.nginx.tls_port, options=["-t"]) for c in (1, 8)]


def counted(connections):
    return "1 connection" if connections == 1 else f"{connections} connections"


def check_over_tls(side, url, certificate, digest):
    """Fetches once as a client does, opened and hashed: what is measured afterwards does not look at the bytes."""
    curl = subprocess.Popen(
        ["curl", "-sSf", "--noproxy", "*", "--tlsv1.3", "--cacert", certificate.path, url], stdout=subprocess.PIPE)
    found = "sha256:" + hashlib.file_digest(curl.stdout, "sha256").hexdigest()
    if curl.wait() != 0 or found != digest:
        raise SystemExit(f"{side} over TLS: curl ended with {curl.returncode}, the bytes are {found}")
