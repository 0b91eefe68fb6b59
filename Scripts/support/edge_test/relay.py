# SPDX-License-Identifier: Apache-2.0
"""The path from the origin to an edge: a TCP relay of limited speed that takes note of the blob bytes it carries."""

import collections
import re
import socket
import threading
import time

from .content import PIECE_BYTES

_READ_BYTES = 64 << 10
_HEAD_BYTES_MAX = 64 << 10
_CONNECTION_COUNT_MAX = 256
_FILL = re.compile(rb"GET /b/v1/sha256/([0-9a-f]{64})\?")
_CONTENT_RANGE = re.compile(rb"\r\ncontent-range: *bytes (\d+)-", re.IGNORECASE)
_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Relay:
    """Listens on `host`; what comes goes to where `forward_to` says, and back at `bytes_per_second` in all."""

    def __init__(self, host="127.0.0.1", bytes_per_second=None):
        self._listener = socket.create_server((host, 0), backlog=64)
        self._target = None
        self._pace = _Pace(bytes_per_second)
        self._lock = threading.Lock()
        self._open = set()
        self._carried_bytes = 0
        self._pieces = collections.Counter()
        self._is_closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self):
        host, port = self._listener.getsockname()
        return f"http://{host}:{port}"

    def forward_to(self, host, port):
        """Connections that came before this were closed."""
        self._target = (host, port)

    def close(self):
        """Takes no more connections and ends those that are open."""
        with self._lock:
            self._is_closed = True
            connections = list(self._open)
        self._listener.close()
        for connection in connections:
            _shut_down(connection)

    # What was carried

    @property
    def carried_bytes(self):
        """Bytes of blobs that were handed to the edge's connections."""
        return self._carried_bytes

    def pieces(self):
        """How often the end of each piece, `(hex, number)`, was handed to the edge's connections.

        A blob's last piece is not counted if it is shorter than the others.
        """
        with self._lock:
            return collections.Counter(self._pieces)

    def _carried(self, digest, start, end):
        """Bytes from `start` to `end` of a blob are with the edge."""
        with self._lock:
            self._carried_bytes += end - start
            for piece in range(start // PIECE_BYTES, end // PIECE_BYTES):
                self._pieces[(digest, piece)] += 1

    # Connections

    def _accept(self):
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return  # Closed.
            if self._target is None or len(self._open) >= _CONNECTION_COUNT_MAX:
                near.close()
                continue
            try:
                far = socket.create_connection(self._target, timeout=5)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            for connection in (near, far):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            pair = _Pair(near, far, self._pace, self._carried)
            with self._lock:
                if self._is_closed:
                    pair.close()
                    return
                self._open |= {near, far}
            pair.start(self._ended)

    def _ended(self, *connections):
        with self._lock:
            self._open -= set(connections)
        for connection in connections:
            connection.close()


class _Pace:
    """Says when so many bytes may pass; who asks first goes first."""

    def __init__(self, bytes_per_second):
        self._bytes_per_second = bytes_per_second
        self._lock = threading.Lock()
        self._next = 0.0

    def wait(self, byte_count):
        if self._bytes_per_second is None:
            return
        with self._lock:
            passed_at = self._next = max(self._next, time.monotonic()) + byte_count / self._bytes_per_second
        time.sleep(max(0.0, passed_at - time.monotonic()))


class _Pair:
    """A connection of the edge and its counterpart to the origin, one thread for each direction."""

    def __init__(self, near, far, pace, carried):
        self._near, self._far, self._pace = near, far, pace
        self._requests = collections.deque()
        self._questions, self._answers = _Questions(self._requests), _Answers(self._requests, carried)
        self._running = 2
        self._lock = threading.Lock()

    def close(self):
        self._near.close()
        self._far.close()

    def start(self, ended):
        for pump in (self._up, self._down):
            threading.Thread(target=self._run, args=(pump, ended), daemon=True).start()

    def _run(self, pump, ended):
        try:
            pump()
        except OSError:
            # One side is gone without a word: so is the pair.
            _shut_down(self._near)
            _shut_down(self._far)
        with self._lock:
            self._running -= 1
            is_last = self._running == 0
        if is_last:
            ended(self._near, self._far)

    def _up(self):
        while data := self._near.recv(_READ_BYTES):
            self._questions.take(data)
            self._far.sendall(data)
        self._far.shutdown(socket.SHUT_WR)

    def _down(self):
        while data := self._far.recv(_READ_BYTES):
            self._pace.wait(len(data))
            self._near.sendall(data)
            self._answers.take(data)
        self._near.shutdown(socket.SHUT_WR)


class _Messages:
    """HTTP/1.1 messages in a stream of bytes, as far as this test has to understand them.

    Each has a head and a body of known length; what has none, such as the control connection, is not looked into.
    """

    def __init__(self):
        self._head, self._body_bytes, self._is_opaque = b"", 0, False

    def take(self, data):
        while data and not self._is_opaque:
            if self._body_bytes:
                count = min(self._body_bytes, len(data))
                self._body_bytes -= count
                self._took_body(count)
                data = data[count:]
                continue
            self._head += data
            head, separator, data = self._head.partition(b"\r\n\r\n")
            if not separator:
                self._is_opaque = len(self._head) > _HEAD_BYTES_MAX
                return
            self._head = b""
            byte_count = self._took_head(head + separator)
            self._is_opaque = byte_count is None
            self._body_bytes = byte_count or 0

    def _took_head(self, head):
        """Returns the bytes of the body, or None if they are not known."""
        raise NotImplementedError

    def _took_body(self, count):
        """So many more bytes of it."""


class _Questions(_Messages):
    """What the edge asks."""

    def __init__(self, requests):
        super().__init__()
        self._requests = requests

    def _took_head(self, head):
        found = _FILL.match(head)
        self._requests.append((head.partition(b" ")[0], found and found[1].decode()))
        length = _CONTENT_LENGTH.search(head)
        return int(length[1]) if length else 0


class _Answers(_Messages):
    """What the origin answers, in the order of the questions."""

    def __init__(self, requests, carried):
        super().__init__()
        self._requests, self._carried_by = requests, carried
        self._digest, self._position = None, 0

    def _took_head(self, head):
        status = head.split(b" ", 2)[1]
        if status.startswith(b"1"):
            return 0
        method, self._digest = self._requests.popleft()
        start, length = _CONTENT_RANGE.search(head), _CONTENT_LENGTH.search(head)
        if status not in (b"200", b"206"):
            self._digest = None
        self._position = int(start[1]) if start else 0
        if method == b"HEAD" or status in (b"204", b"304"):
            return 0
        return int(length[1]) if length else None

    def _took_body(self, count):
        if self._digest:
            self._carried_by(self._digest, self._position, self._position + count)
            self._position += count


def _shut_down(connection):
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # It ended meanwhile.
