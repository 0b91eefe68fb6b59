# SPDX-License-Identifier: Apache-2.0
"""A pull of acknowledged blobs through an edge, which sends no byte that their piece lists do not vouch for."""

import urllib.parse

from ..console import say
from .client import Client, Died, Violation

BLOB_COUNT_MAX = 300


def faults(origin, histories):
    """Adds an edge to the stack, and pulls blobs that the origin sends clients to it for. Returns what is wrong."""
    links = [link for history in histories for link in history.links.values()
             if link.is_surely(True) and link.blob.size > 64 << 10]
    links = links[-BLOB_COUNT_MAX:]
    say(f"pulling {len(links)} blobs through an edge")
    origin.stack.up(edge_count=1, programs=origin.programs)
    client, found = origin.client(), []
    for link in links:
        try:
            _pull(client, link)
        except (Died, Violation) as fault:
            found.append(f"{link}, through an edge: {fault}")
    client.close()
    return found


def _pull(client, link):
    answer = client.ask("GET", link.path, {"Depot-Redirect": "edge"}).expect(307)
    target = urllib.parse.urlsplit(answer.header("Location"))
    edge = Client(f"{target.scheme}://{target.netloc}", "")
    try:
        served = edge.ask("GET", f"{target.path}?{target.query}", hash_name=link.blob.algorithm)
    finally:
        edge.close()
    if served.status != 200:
        raise Violation(f"GET {target.path}: {served.status}")  # Without the query: it holds a signature.
    if served.size != link.blob.size or f"{link.blob.algorithm}:{served.body.hexdigest()}" != link.blob.digest:
        raise Violation(f"{served.size} bytes of {served.body.hexdigest()} were served")
