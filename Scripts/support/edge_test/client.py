# SPDX-License-Identifier: Apache-2.0
"""A client of an edge that compares every byte that it receives, also those of an answer that broke.

It is made of a plain socket, because how a connection ended matters, and no library tells.
"""

import base64
import enum
import http.client
import socket
import time
import urllib.parse

from .content import MIB

ANSWER_SECONDS_MAX = 40  # Without a single byte: longer than any retry of the edge's own.
_READ_BYTES = MIB
_HEAD_BYTES_MAX = 16 << 10


class Ending(enum.Enum):
    """How an answer ended."""
    COMPLETE = "complete"
    HUNG_UP = "hung up by the client"
    FIN = "ended by FIN"
    RESET = "ended by RST"
    STALLED = f"no byte for {ANSWER_SECONDS_MAX} s"
    REFUSED = "connection refused"
    NO_ANSWER = "no answer"
    BAD_STATUS = "another status"
    BAD_HEAD = "another head"


class Link:
    """Where the origin sends a client for a blob."""

    def __init__(self, url):
        parts = urllib.parse.urlsplit(url)
        self.host, self.port, self.target = parts.hostname, parts.port, f"{parts.path}?{parts.query}"


class Answer:
    """What came back for a half-open range of a blob; readable by other threads while it arrives."""

    def __init__(self, blob, start, end):
        self.blob, self.start, self.end = blob, start, end
        self.position = start  # Of the next byte due.
        self.status = self.ending = None
        self.wrong_pages = []  # See `Blob.wrong_pages`.
        self.remark = ""
        self.began = self.ended = time.monotonic()

    @property
    def received(self):
        return self.position - self.start

    @property
    def seconds(self):
        return self.ended - self.began

    @property
    def is_good(self):
        """As a client wants it, or would have wanted it had it not hung up."""
        return self.ending in (Ending.COMPLETE, Ending.HUNG_UP) and not self.wrong_pages

    def __str__(self):
        text = f"{self.blob}, bytes {self.start} to {self.end}: {self.ending.value} after {self.received} bytes"
        if self.ending is Ending.BAD_STATUS:
            text += f", {self.status}"
        if self.wrong_pages:
            text += f", {len(self.wrong_pages)} wrong pages from {self.wrong_pages[0]} on"
        return text + (f", {self.remark}" if self.remark else "")


class EdgeClient:
    """One connection to an edge at a time, kept while answers are complete. Not for several threads."""

    def __init__(self, receive_buffer_bytes=None):
        """
        - receive_buffer_bytes: a fixed limit to what the kernel takes ahead of `get`; it grows by itself otherwise.
        """
        self._receive_buffer_bytes = receive_buffer_bytes
        self._socket = self._address = None
        self._buffer = bytearray(_READ_BYTES)

    def close(self):
        if self._socket:
            self._socket.close()
            self._socket = None

    def get(self, link, answer, is_open=False, hang_up_at=None, bytes_per_second=None):
        """Asks for the range of `answer`, and fills it in. Never raises for what the edge does.

        - is_open: the range is sent without its end, which is then the blob's.
        - hang_up_at: closes the connection once the answer has come so far.
        - bytes_per_second: reads no faster than that.
        """
        answer.began = time.monotonic()
        answer.ending = self._get(link, answer, is_open, hang_up_at, bytes_per_second)
        answer.ended = time.monotonic()
        if answer.ending is not Ending.COMPLETE:
            self.close()
        return answer

    def _get(self, link, answer, is_open, hang_up_at, bytes_per_second):
        try:
            self._connect(link)
        except socket.timeout:
            return Ending.STALLED
        except OSError:
            return Ending.REFUSED
        try:
            self._socket.sendall(_request(link, answer, is_open))
            body = self._head(answer)
        except socket.timeout:
            return Ending.STALLED
        except OSError:
            return Ending.NO_ANSWER
        if body is None:
            return Ending.NO_ANSWER if answer.status is None else answer.ending
        return self._body(answer, body, hang_up_at, bytes_per_second)

    def _connect(self, link):
        if self._socket and self._address == (link.host, link.port):
            return
        self.close()
        self._address = (link.host, link.port)
        connection = socket.socket()
        try:
            if self._receive_buffer_bytes:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer_bytes)
            connection.settimeout(ANSWER_SECONDS_MAX)
            connection.connect(self._address)
        except OSError:
            connection.close()
            raise
        self._socket = connection

    def _head(self, answer):
        """Reads the head. Returns the first bytes of the body, or None if this is not the answer asked for."""
        received = b""
        while b"\r\n\r\n" not in received:
            data = self._socket.recv(_HEAD_BYTES_MAX)
            if not data or len(received) > _HEAD_BYTES_MAX:
                return None
            received += data
        head, _, body = received.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        answer.status = int(lines[0].split()[1])
        is_whole = answer.start == 0 and answer.end == answer.blob.size
        if answer.status not in ((200, 206) if is_whole else (206,)):
            answer.ending, answer.remark = Ending.BAD_STATUS, fields.get("depot-reason", "")
            return None
        # Whatever is announced here is what a client believes to be all: a short length would be a clean short body.
        due = {"content-length": str(answer.end - answer.start), "transfer-encoding": None, "content-encoding": None}
        if answer.status == 206:
            due["content-range"] = f"bytes {answer.start}-{answer.end - 1}/{answer.blob.size}"
        for name, value in due.items():
            if fields.get(name) != value:
                answer.ending, answer.remark = Ending.BAD_HEAD, f"{name} is {fields.get(name)}"
                return None
        return body

    def _body(self, answer, first, hang_up_at, bytes_per_second):
        began = time.monotonic()
        view = memoryview(self._buffer)
        view[:len(first)] = first
        count = len(first)
        while True:
            if count > answer.end - answer.position:
                answer.remark = "more bytes than were announced"
                return Ending.BAD_HEAD
            if count:
                answer.wrong_pages += answer.blob.wrong_pages(answer.position, view[:count])
                answer.position += count
            if answer.position == answer.end:
                return Ending.COMPLETE
            if hang_up_at is not None and answer.position >= hang_up_at:
                return Ending.HUNG_UP
            if bytes_per_second:
                time.sleep(max(0.0, answer.received / bytes_per_second - (time.monotonic() - began)))
            try:
                count = self._socket.recv_into(view)
            except socket.timeout:
                return Ending.STALLED
            except OSError:
                return Ending.RESET
            if count == 0:
                return Ending.FIN


def _request(link, answer, is_open):
    lines = [f"GET {link.target} HTTP/1.1", f"Host: {link.host}:{link.port}", "User-Agent: edge-test"]
    if is_open:
        lines.append(f"Range: bytes={answer.start}-")
    elif answer.start or answer.end != answer.blob.size:
        lines.append(f"Range: bytes={answer.start}-{answer.end - 1}")
    return "\r\n".join([*lines, "", ""]).encode()


class LinkSource:
    """One connection to the origin, for links. Not for several threads."""

    def __init__(self, registry_url, repository, token):
        address = urllib.parse.urlsplit(registry_url)
        self._connection = http.client.HTTPConnection(address.hostname, address.port, timeout=ANSWER_SECONDS_MAX)
        credential = base64.b64encode(f"x-token:{token}".encode()).decode()
        self._headers = {"Authorization": f"Basic {credential}", "Depot-Redirect": "edge"}
        self._repository = repository

    def close(self):
        self._connection.close()

    def link(self, blob):
        """A fresh link to an edge, or None while the origin sends nobody to one.

        Throws: `OSError` or `http.client.HTTPException` where the origin does not answer.
        """
        try:
            self._connection.request("GET", f"/v2/{self._repository}/blobs/{blob.digest}", headers=self._headers)
            response = self._connection.getresponse()
            location = response.getheader("Location") if response.status == 307 else None
            if location is None:
                # The bytes themselves follow, which nobody wants here.
                self._connection.close()
                return None
            response.read()
            return Link(location)
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise
