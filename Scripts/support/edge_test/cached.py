# SPDX-License-Identifier: Apache-2.0
"""The edge's cache as files, seen and changed by somebody else than the edge. `Docs/architecture.md` has the layout."""

import contextlib
import os
import pathlib

from ..console import Failure
from .content import PAGE_BYTES, PIECE_BYTES

_MAP_HEADER_BYTES = 72


class Cached:
    """The files of one blob below the cache's folder."""

    def __init__(self, cache, blob):
        folder, name = blob.hex[:2], f"{blob.hex}.{blob.size}"
        self.blob = blob
        self.complete = pathlib.Path(cache) / "c" / folder / name
        self.data = pathlib.Path(cache) / "p" / folder / f"{name}.data"
        self.map = self.data.with_suffix(".map")

    def open(self):
        """A descriptor of the file with the bytes, or None. Where it is looked for is the order in which it moves on."""
        for path in (self.data, self.complete):
            with contextlib.suppress(FileNotFoundError):
                return os.open(path, os.O_RDWR | os.O_CLOEXEC)
        return None

    @property
    def is_complete(self):
        return self.complete.exists()

    def present(self):
        """Numbers of the pieces that the edge says it has, whether they are right or not."""
        if self.complete.exists():
            return list(range(self.blob.piece_count))
        try:
            bits = self.map.read_bytes()[_MAP_HEADER_BYTES:]
        except FileNotFoundError:
            return []
        return [piece for piece in range(min(self.blob.piece_count, len(bits) * 8)) if _bit(bits, piece)]

    def is_right(self, pieces):
        """Whether these pieces are there and right, in the file itself."""
        if not set(pieces) <= set(self.present()):
            return False
        for path in (self.data, self.complete):  # In the order in which it moves on.
            with contextlib.suppress(FileNotFoundError), open(path, "rb", buffering=0) as file:
                return all(self.is_right_in(file.fileno(), piece) for piece in pieces)
        return False

    def is_right_in(self, descriptor, piece):
        """Whether the piece is right in an open file."""
        start, end = self.blob.piece_range(piece)
        data = os.pread(descriptor, end - start, start)
        return len(data) == end - start and self.blob.is_right(start, data)


def _bit(bits, number):
    """The map's bits: the first piece is the lowest bit of the first byte."""
    return bits[number // 8] >> number % 8 & 1


class Damage:
    """One change behind the edge's back, within the pieces that it has."""

    def __init__(self, kind, cached, present, random):
        self.kind, self._cached, self._present, self._random = kind, cached, present, random
        self.pieces = []  # That are not right any more.

    @property
    def is_truncation(self):
        return self.kind == "truncation"

    def __str__(self):
        return f"{self.kind} in {'complete' if self._cached.is_complete else 'partial'} {self._cached.blob}"

    def inflict(self, is_cold, is_undisturbed=True):
        """Changes the file.

        - is_cold: it is also synced, and its pages are dropped.
        - is_undisturbed: nobody can have healed it before this returns.

        Returns whether there was a file to change. Throws: `Failure` if it is as right as it was.
        """
        descriptor = self._cached.open()
        if descriptor is None:
            return False
        try:
            getattr(self, "_" + self.kind.replace(" ", "_"))(descriptor)
            if is_undisturbed and any(self._cached.is_right_in(descriptor, piece) for piece in self.pieces):
                raise Failure(f"{self}: the file is as it was")
            if is_cold:
                os.fsync(descriptor)
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)
        return True

    def _a_piece(self):
        piece = self._random.choice(self._present)
        start, end = self._cached.blob.piece_range(piece)
        self.pieces = [piece]
        return start, end

    @staticmethod
    def _byte(descriptor, offset):
        """What is there; 0 where a truncation before has left nothing."""
        return (os.pread(descriptor, 1, offset) or b"\0")[0]

    def _bit_flip(self, descriptor):
        start, end = self._a_piece()
        offset = self._random.randrange(start, end)
        byte = self._byte(descriptor, offset)
        os.pwrite(descriptor, bytes([byte ^ 1 << self._random.randrange(8)]), offset)

    def _zeroed_page(self, descriptor):
        start, end = self._a_piece()
        page = self._random.randrange(start, end) // PAGE_BYTES * PAGE_BYTES
        os.pwrite(descriptor, bytes(min(PAGE_BYTES, end - page)), page)

    def _garbage(self, descriptor):
        start, end = self._a_piece()
        begin = self._random.randrange(start, end)
        size = self._random.randrange(1, end - begin + 1)
        # A single random byte may be the right one.
        os.pwrite(descriptor, bytes([self._byte(descriptor, begin) ^ 0xFF]) + self._random.randbytes(size - 1), begin)

    def _swapped_pieces(self, descriptor):
        whole = [piece for piece in self._present if (piece + 1) * PIECE_BYTES <= self._cached.blob.size]
        if len(whole) < 2:
            return self._garbage(descriptor)
        self.pieces = self._random.sample(whole, 2)
        first, second = (os.pread(descriptor, PIECE_BYTES, piece * PIECE_BYTES) for piece in self.pieces)
        os.pwrite(descriptor, second, self.pieces[0] * PIECE_BYTES)
        os.pwrite(descriptor, first, self.pieces[1] * PIECE_BYTES)
        return None

    def _truncation(self, descriptor):
        size = self._random.randrange(self._cached.blob.size)
        os.ftruncate(descriptor, size)
        self.pieces = [piece for piece in self._present if self._cached.blob.piece_range(piece)[1] > size]


KINDS = ("bit flip", "zeroed page", "garbage", "swapped pieces", "truncation")
