# SPDX-License-Identifier: Apache-2.0
"""What the edge test pushes: blobs of any size that are made from a seed, and that know each of their bytes.

A blob is a header of its own, a window of one endless stream, and a tail. The stream repeats a pool of random bytes
whose length is odd, so that no two pieces of a blob are the same: one in the place of another is a wrong one.
"""

import hashlib
import random

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
PIECE_BYTES = MIB
PAGE_BYTES = 4 * KIB
PART_BYTES = MIB  # Bytes that are handed to the socket at once.

_POOL_BYTES = 48 * MIB + 4099
_POOL = random.Random("pool").randbytes(_POOL_BYTES)


class Blob:
    """Bytes and their digest. The bytes are made when they are asked for."""

    def __init__(self, name, header, offset, size, tail=b""):
        """
        - name: for messages.
        - offset: where in the stream its window begins.
        - size: of all of it, header and tail included.
        """
        self.name, self.size = name, size
        self._header, self._offset, self._tail = header, offset, tail
        self._window_end = size - len(tail)
        whole = hashlib.sha256()
        for part in self.parts(0, size):
            whole.update(part)
        self.hex = whole.hexdigest()
        self.digest = f"sha256:{self.hex}"

    def __str__(self):
        return f"{self.name} ({self.size} bytes, {self.hex[:12]})"

    @property
    def piece_count(self):
        return -(-self.size // PIECE_BYTES)

    def piece_range(self, piece):
        """The half-open range of bytes of a piece."""
        return piece * PIECE_BYTES, min((piece + 1) * PIECE_BYTES, self.size)

    def parts(self, start, end):
        """The bytes of a half-open range, in parts of `PART_BYTES` at most."""
        for source, begin, stop in self._segments(start, end):
            for offset in range(begin, stop, PART_BYTES):
                yield memoryview(source)[offset:min(offset + PART_BYTES, stop)]

    def is_right(self, offset, data):
        """Whether these are the bytes from `offset` on."""
        position = 0
        for source, begin, stop in self._segments(offset, offset + len(data)):
            # Not ==: a view is compared byte by byte in Python's own loop, this is memcmp(3).
            if not source.startswith(data[position:position + stop - begin], begin):
                return False
            position += stop - begin
        return True

    def wrong_pages(self, offset, data):
        """Offsets of what differs, one for each page of the file in which something does."""
        if self.is_right(offset, data):
            return []
        wrong, position = [], 0
        while position < len(data):
            size = min(PAGE_BYTES - (offset + position) % PAGE_BYTES, len(data) - position)
            if not self.is_right(offset + position, data[position:position + size]):
                wrong.append(offset + position)
            position += size
        return wrong

    def _segments(self, start, end):
        """Where the bytes of a range are: a source, and begin and end in it."""
        header_end = len(self._header)
        if start < header_end and start < end:
            yield self._header, start, min(end, header_end)
        position, window_end = max(start, header_end), min(end, self._window_end)
        while position < window_end:
            begin = (self._offset + position) % _POOL_BYTES
            stop = min(begin + window_end - position, _POOL_BYTES)
            yield _POOL, begin, stop
            position += stop - begin
        if end > self._window_end:
            begin = max(start, self._window_end)
            if begin < end:
                yield self._tail, begin - self._window_end, end - self._window_end


class Content:
    """A source of blobs; the same seed gives the same ones."""

    HEADER_BYTES = 24

    def __init__(self, seed):
        self._name, self._count = str(seed), 0
        self.random = random.Random(self._name)

    def blob(self, size):
        """A new blob. `size` is at least `HEADER_BYTES`."""
        self._count += 1
        header = hashlib.sha256(f"{self._name}/{self._count}".encode()).digest()[:self.HEADER_BYTES]
        return Blob(f"blob {self._count}", header, self.random.randrange(_POOL_BYTES), size)

    def wrapped_blob(self, name, header, size, tail):
        """A blob whose first and last bytes are given."""
        return Blob(name, header, self.random.randrange(_POOL_BYTES), size, tail)

    def noise(self, size):
        """Bytes of no blob."""
        return self.random.randbytes(size)
