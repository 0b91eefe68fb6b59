# SPDX-License-Identifier: Apache-2.0
"""A kill before each system call of the data path, one after the other.

For each call and N = 1, 2, 3… the origin is started with `DEPOT_FAILPOINT=call:N:kill` and an empty blob directory of
its own, and a scripted push runs until the origin dies. After the restart what was acknowledged has to be there and
nothing may be half visible; then the push goes on to its end. The first N that never fires ends the call.
"""

import collections
import hashlib
import pathlib
import shutil
import time

from . import trace as tracing
from ..console import Failure, say
from .client import Died, Violation
from .content import ARTIFACT_TYPES, KIB, MIB, Content
from .history import History, Visible
from .operations import (
    CancelledUpload, Delete, Form, Mount, PutManifest, Read, RefusedDelete, Sequence, Upload, WrongDigest,
)
from .origin import distribution

FAULTY_POINT_COUNT_MAX = 5
PIECE_BYTES = MIB
_DEAD_SECONDS_MAX = 10
# `fsync` counts fdatasync(2) too, so that a sweep of its own would find nothing new.
_COUNTED_BY = {"fdatasync": "fsync"}
# Keys are random: when two share a folder, one push makes a few calls less than another.
_COLLISION_CALLS_MAX = 6


class Push:
    """The scripted push of one point: every form of upload once, then manifests, moves and deletes."""

    def __init__(self, name, prefix, client):
        self.prefix = f"{prefix}/{name}"
        self._repositories = [f"{self.prefix}/first", f"{self.prefix}/second"]
        self._content, self._client, self.history = Content(name), client, History()
        self._steps = Sequence(self.history, "push", self._make_steps())
        self._visible = Visible([self.history])

    def run(self):
        """Goes on to the end. Throws `Died`, `Violation`."""
        self._steps.run(self._client)

    def disconnect(self):
        """The process at the other end is gone, whether the client has seen it or not."""
        self._client.close()

    def recover(self):
        self._steps.recover(self._client)

    def faults(self):
        """What is wrong with anything that the push touched."""
        found = self.history.check(self._client, self.history.things)
        return found + self._visible.check(self._client, self.prefix, is_full=True)

    @property
    def blobs(self):
        return [link.blob for link in self.history.links.values() if link.is_surely(True)]

    def _make_steps(self):
        history, content, (first, second) = self.history, self._content, self._repositories
        config, layer, stray = content.blob(300), content.blob(70 * KIB), content.blob(5 * KIB)
        # Past 32 MiB of one body there is a durable point within it.
        large = content.blob(33 * MIB + 12_345)
        chunked, chunked_rest = content.blob(2 * MIB + 600_000), content.blob(MIB + 500_000)
        announced, unannounced = content.blob(MIB + 5, "sha512"), content.blob(90 * KIB, "sha512")
        yield Upload(history, first, config, Form.SINGLE)
        yield Upload(history, first, layer, Form.PUT)
        yield Upload(history, first, large, Form.STREAM)
        yield Upload(history, first, chunked, Form.CHUNKS, borders=(700_000, MIB, 1_900_000))
        yield Upload(history, first, chunked_rest, Form.CHUNKS_REST, borders=(300_000, MIB + 100))
        yield Upload(history, first, announced, Form.STREAM, algorithm="sha512")
        yield Upload(history, first, unannounced, Form.STREAM)
        yield Upload(history, first, stray, Form.SINGLE)
        yield Upload(history, first, layer, Form.STREAM)  # Once more: the second file is dropped.
        yield CancelledUpload(history, first, content.blob(20 * KIB))
        yield WrongDigest(history, first, content.blob(30 * KIB), content.blob(40))
        yield Mount(history, history.link(first, layer), second)

        image = content.image(config, [layer, large, chunked])
        other = content.image(config, [chunked_rest, announced, unannounced])
        yield PutManifest(history, first, image, "one", "image")
        yield PutManifest(history, first, other, None, "image")
        yield PutManifest(history, first, content.index([image, other]), "both", "index")
        artifact = content.image(config, [layer], subject=image, artifact_type=ARTIFACT_TYPES[0])
        yield PutManifest(history, first, artifact, None, "artifact")
        yield PutManifest(history, first, other, "one", "known manifest")
        yield PutManifest(history, first, other, "two", "known manifest")
        yield Read(history, history.link(first, chunked))
        yield RefusedDelete(history, history.link(first, chunked))
        yield Delete(history, history.tag(first, "both"), None, "tag deleted")
        tags = [history.tag(first, "one"), history.tag(first, "two")]
        yield Delete(history, history.stored(first, other), False, "manifest deleted", tags)
        yield Delete(history, history.link(first, stray), False, "blob deleted")


class Sweep:
    """All points, or each K-th of them, against one origin whose database lives through all of it."""

    def __init__(self, origin, every):
        self._origin, self._every = origin, every
        self._prefix = f"{origin.organization}/sweep"
        self._stores = pathlib.Path(origin.stack.directory) / "stores"
        self._traced, self._points, self._acknowledged = (collections.Counter() for _ in range(3))
        self._faults, self._faulty_points, self._number = [], [], 0

    # Shapes of a sweep

    def run(self):
        """Returns whether nothing was violated."""
        began = time.monotonic()
        self._origin.kill()
        totals = self._trace()
        if not self._faults:
            self._sweep(totals)
        for fault in self._faults:
            say(f"violation: {fault}")
        points = ", ".join(f"{call} {count}" for call, count in sorted(self._points.items()))
        say(f"  points: {points}")
        say(f"  restarts: {distribution(self._origin.restart_seconds)}")
        kind = "all points" if self._every == 1 else f"each {self._every}th point"
        print(f"sweep: {self._points.total()} points ({kind}) of {len(self._points)} system calls, "
              f"{self._acknowledged.total()} operations acknowledged, restart max "
              f"{max(self._origin.restart_seconds, default=0):.2f} s, {len(self._faults)} violations, "
              f"{time.monotonic() - began:.0f} s", flush=True)
        return not self._faults

    def run_point(self, call, number):
        """One point, to look at it again. Returns whether nothing was violated."""
        self._origin.kill()
        is_fired = self._point(call, number)
        for fault in self._faults:
            say(f"violation: {fault}")
        print(f"sweep: {call}:{number} {'fired' if is_fired else 'was never reached'}, "
              f"{len(self._faults)} violations", flush=True)
        return not self._faults

    def _sweep(self, totals):
        if self._every > 1:
            for call, number in _sample(totals, self._every):
                if self._is_over:
                    return
                self._point(call, number)
            return
        for call in sorted(totals):
            number = 1
            while not self._is_over and self._point(call, number):
                number += 1
            say(f"{call}: {self._points[call]} points, {self._traced[call]} calls on blobs traced")
            if self._points[call] < self._traced[call] - _COLLISION_CALLS_MAX and not self._is_over:
                self._faults.append(f"{call} is made where no failpoint counts it")

    @property
    def _is_over(self):
        return len(self._faulty_points) >= FAULTY_POINT_COUNT_MAX

    # The list of calls

    def _trace(self):
        """Runs the push once under strace, kills the origin behind it, and compares.

        Returns the calls to sweep, and how often each is made.
        """
        trace = tracing.Trace(self._origin.stack.path("strace.log"))
        store, push = self._new_store(), Push("traced", self._prefix, self._origin.client())
        self._origin.launch(options=store.options, wrapper=trace.wrapper)
        tracer = self._origin.process
        self._origin.adopt(trace.child(tracer))
        self._collect("traced", lambda: self._complete(push))
        self._origin.kill()
        if not tracer.wait_ended(_DEAD_SECONDS_MAX):
            raise Failure("strace does not end")
        self._collect("traced", lambda: self._after(push, store))
        self._origin.kill()
        store.remove()
        return self._compared(trace, store)

    def _complete(self, push):
        if not self._origin.wait_ready_or_dead():
            raise Violation(f"the origin does not start, see {self._origin.log}")
        push.run()
        return []

    def _compared(self, trace, store):
        """The calls on blobs have to be known to failpoints; those on the origin's own files are swept with them."""
        known, calls = set(tracing.known_calls()), trace.calls(store.folder)
        for call in calls.keys() & known:
            self._traced[_COUNTED_BY.get(call, call)] += calls[call]
        say("system calls on blobs: " + ", ".join(f"{call} {calls[call]}" for call in sorted(calls.keys() & known))
            + "; harmless: " + ", ".join(sorted(calls.keys() & tracing.HARMLESS)))
        unknown = sorted(calls.keys() - known - tracing.HARMLESS)
        if unknown:
            self._faults.append("the list of failpoints is not complete; not in it: " + ", ".join(unknown))
        totals = collections.Counter()
        for call, count in trace.calls(store.folder, self._origin.data_directory).items():
            if call in known:
                totals[_COUNTED_BY.get(call, call)] += count
        return totals

    # Points

    def _point(self, call, number):
        """Returns whether the failpoint fired."""
        name = f"{call}-{number}".replace("_", "-")
        store, push = self._new_store(), Push(name, self._prefix, self._origin.client())
        self._origin.launch(failpoint=f"{call}:{number}:kill", options=store.options)
        fault_count = len(self._faults)
        is_fired = self._push_until_death(push, name)
        if is_fired:
            self._points[call] += 1
            self._collect(name, lambda: self._after(push, store))
        if self._origin.is_alive:
            self._origin.kill()
        self._acknowledged += push.history.acknowledged
        if len(self._faults) > fault_count:
            self._faulty_points.append(name)
            say(f"violation at {call}:{number}; look again with: Scripts/crash-test sweep --point {call}:{number}")
        else:
            store.remove()
        return is_fired

    def _push_until_death(self, push, name):
        if not self._origin.wait_ready_or_dead():
            return True
        try:
            push.run()
        except Died as death:
            if self._origin.is_alive and not self._origin.ends(_DEAD_SECONDS_MAX):
                self._faults.append(f"{name}: the connection broke, but the origin lives: {death}")
            return True
        except Violation as violation:
            self._faults.append(f"{name}: {violation}")
        return False

    def _after(self, push, store):
        """The restart, the checks, the rest of the push, the checks again."""
        push.disconnect()
        self._origin.restart(store.options)
        push.recover()
        faults = push.faults()
        push.run()
        return faults + push.faults() + store.piece_faults(push.blobs)

    def _collect(self, name, work):
        try:
            self._faults += [f"{name}: {fault}" for fault in work()]
        except Died as death:
            self._faults.append(f"{name}: the connection broke while nobody was killed: {death}")
        except Violation as violation:
            self._faults.append(f"{name}: {violation}")

    def _new_store(self):
        self._number += 1
        return Store(self._stores / f"{self._number:04}")


def _sample(totals, every):
    """Each K-th point over all calls, and one at least of each call."""
    points = [(call, number) for call in sorted(totals) for number in range(1, totals[call] + 1)][::every]
    left_out = totals.keys() - {call for call, _ in points}
    return points + [(call, (totals[call] + 1) // 2) for call in sorted(left_out)]


class Store:
    """The blob directory of one point: empty at first, so that folders are made in every push."""

    def __init__(self, folder):
        self.folder = folder

    @property
    def options(self):
        return ["--blob-directory", str(self.folder)]

    def remove(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def piece_faults(self, blobs):
        """Committed blobs that lie nowhere with the right list of pieces, without which no edge can serve them."""
        files = [path for path in self.folder.rglob("*") if path.is_file() and path.suffix != ".pieces"]
        return [f"{blob.digest} has no right list of pieces" for blob in blobs
                if _needs_list(blob) and not any(_has_pieces(path, blob) for path in files)]


def _needs_list(blob):
    """Whether it is not its own list: a blob of one piece under SHA-256 is."""
    return blob.size > (PIECE_BYTES if blob.algorithm == "sha256" else 0)


def _has_pieces(path, blob):
    if path.stat().st_size != blob.size:
        return False
    data = path.read_bytes()
    pieces = b"".join(hashlib.sha256(data[start:start + PIECE_BYTES]).digest()
                      for start in range(0, len(data), PIECE_BYTES))
    side = path.with_name(path.name + ".pieces")
    is_same = f"{blob.algorithm}:{hashlib.new(blob.algorithm, data).hexdigest()}" == blob.digest
    return is_same and side.exists() and side.read_bytes() == pieces
