# SPDX-License-Identifier: Apache-2.0
"""A registry client that knows, when its connection breaks, how much it has sent and what it was told."""

import base64
import hashlib
import http.client
import time
import urllib.parse

ANSWER_SECONDS_MAX = 40  # Longer than the lease of an upload, so that who waits for one is not cut off.
READ_BYTES = 1 << 20
_JSON_BYTES_SHOWN = 300


class Violation(Exception):
    """The registry did what it promises never to do."""


class Died(Exception):
    """The connection broke before the answer was complete: whether the request took effect is not known."""

    def __init__(self, cause):
        super().__init__(f"{type(cause).__name__}: {cause}")
        self.at = time.monotonic()


class Body:
    """The body of one request. `sent` bytes may have reached the registry, never more."""

    def __init__(self, parts, size, pause_seconds=0.0):
        self._parts, self.size, self._pause_seconds, self.sent = parts, size, pause_seconds, 0

    @classmethod
    def of(cls, data):
        return cls([data], len(data))

    def __iter__(self):
        for part in self._parts:
            self.sent += len(part)
            yield part
            if self._pause_seconds:
                time.sleep(self._pause_seconds)


class Answer:
    """A complete answer. `body` is its bytes, or for a streamed one the hash that they went through."""

    def __init__(self, request, response, body, size):
        self.request, self.status, self._headers, self.body, self.size = request, response.status, response, body, size

    def header(self, name, default=""):
        return self._headers.getheader(name, default)

    def expect(self, *statuses):
        """Itself, if it has one of these statuses."""
        if self.status not in statuses:
            shown = self.body[:_JSON_BYTES_SHOWN].decode(errors="replace") if isinstance(self.body, bytes) else ""
            wanted = " or ".join(map(str, statuses))
            raise Violation(f"{self.request}: {self.status} where {wanted} is due; {shown}".strip())
        return self


class Client:
    """One connection to the registry at a time. Not for several threads."""

    def __init__(self, registry_url, token):
        address = urllib.parse.urlsplit(registry_url)
        self._host, self._port = address.hostname, address.port
        credential = base64.b64encode(f"x-token:{token}".encode()).decode()
        self._headers = {"Authorization": f"Basic {credential}", "Depot-Redirect": "never"}
        self._connection = None

    def close(self):
        if self._connection:
            self._connection.close()
            self._connection = None

    def ask(self, method, path, headers=None, body=None, hash_name=None):
        """Sends a request and takes its whole answer.

        - body: a `Body`, of known size with Content-Length, else chunked.
        - hash_name: the body of a 200 goes through this hash in place of memory.
        """
        try:
            return self._ask(method, path, headers or {}, body, hash_name)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Died(error) from error

    def _ask(self, method, path, headers, body, hash_name):
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self._host, self._port, timeout=ANSWER_SECONDS_MAX)
        headers = {**self._headers, **headers}
        is_chunked = body is not None and body.size is None
        if body is not None:
            headers.setdefault("Content-Type", "application/octet-stream")
            headers.update({"Transfer-Encoding": "chunked"} if is_chunked else {"Content-Length": str(body.size)})
        elif method in ("POST", "PUT", "PATCH"):
            headers["Content-Length"] = "0"
        self._connection.request(method, path, body=body, headers=headers, encode_chunked=is_chunked)
        response = self._connection.getresponse()
        data, size = _read(response, hash_name if response.status == 200 else None)
        announced = response.getheader("Content-Length")
        if method != "HEAD" and announced is not None and int(announced) != size:
            raise http.client.IncompleteRead(b"", int(announced) - size)
        return Answer(f"{method} {path}", response, data, size)


def _read(response, hash_name):
    """The body, or the hash that it went through, and its size."""
    if hash_name is None:
        data = response.read()
        return data, len(data)
    whole, size = hashlib.new(hash_name), 0
    while data := response.read(READ_BYTES):
        whole.update(data)
        size += len(data)
    return whole, size


def next_page(answer):
    """The path of the next page of a list, or None."""
    link = answer.header("Link")
    return link[link.index("<") + 1:link.index(">")] if 'rel="next"' in link else None
