# SPDX-License-Identifier: Apache-2.0
"""What a writer asks of the registry. Each operation can be run again after a crash and goes on from where it stood.

`run` raises `Died` when the connection breaks. `recover` is called after the restart, before anything else of the
writer is: it looks at what only the operation knows, an upload session or a change of several things at once.
"""

import enum
import time

from .client import Body, Violation
from .content import MIB

BUSY_SECONDS_MAX = 35  # A lease that a killed process left behind ends after 30 s at the latest.
UPLOAD_PAUSE_SECONDS = 0.002
RESUME_BYTES = 64 << 10


class Form(enum.Enum):
    """How a blob is pushed."""
    SINGLE = "single POST"
    PUT = "POST and PUT"
    STREAM = "POST, streamed PATCH, PUT"
    CHUNKS = "POST, PATCHes with Content-Range, PUT"
    CHUNKS_REST = "POST, PATCHes with Content-Range, PUT with the last chunk"


class Operation:
    """Something to ask of the registry, in one or several requests."""

    name = ""

    def __init__(self, history):
        self.history = history

    def recover(self, client):
        """After a crash: checks what holds even without an answer."""


class Upload(Operation):
    """An upload session and its blob, from POST to the final PUT."""

    def __init__(self, history, repository, blob, form, algorithm=None, borders=(), is_slow=False, is_shared=False):
        """
        - algorithm: announced with the POST; without it the session runs with SHA-256 until the PUT.
        - borders: offsets where chunks end.
        """
        super().__init__(history)
        self.repository, self.blob, self.form = repository, blob, form
        self._pause_seconds = UPLOAD_PAUSE_SECONDS if is_slow else 0
        self.link = history.link(repository, blob, is_shared)
        self.name = f"blob by {form.value}"
        self._was_linked = not self.link.is_surely(False)
        self._query = f"?digest-algorithm={algorithm}" if algorithm else ""
        last = () if form is Form.CHUNKS_REST else (blob.size,)
        self._borders = [border for border in sorted({*borders, *last}) if border > 0]
        self._location, self._acknowledged_bytes, self._sent_bytes = None, 0, 0
        self._is_finishing = self._is_done = self._is_resumed = False

    # Requests

    def run(self, client):
        if self._is_done:
            return
        if self.form is Form.SINGLE:
            self._push(client)
            return
        if self._location is None:
            self._begin(client)
        if self._is_resumed:
            self._resume(client)
        self._append_all(client)
        self._finish(client)

    def _push(self, client):
        self.link.begin(True)
        path = f"/v2/{self.repository}/blobs/uploads/?digest={self.blob.digest}"
        body = Body(self.blob.parts(0, self.blob.size), self.blob.size, self._pause_seconds)
        self._check_created(client.ask("POST", path, body=body))

    def _begin(self, client):
        answer = client.ask("POST", f"/v2/{self.repository}/blobs/uploads/{self._query}").expect(202)
        self._location = answer.header("Location")
        self.history.count("upload begun")

    def _append_all(self, client):
        """Brings the session to where the PUT takes over."""
        if self.form is Form.STREAM and self._acknowledged_bytes < self.blob.size:
            self._append(client, self.blob.size, {})
        while self.form in (Form.CHUNKS, Form.CHUNKS_REST):
            border = next((border for border in self._borders if border > self._acknowledged_bytes), None)
            if border is None:
                break
            self._append(client, border, self._content_range(border))

    def _append(self, client, end, headers):
        answer = self._send(client, "PATCH", self._location, end, headers).expect(202)
        if durable_bytes(answer, end) != end:
            raise Violation(f"{answer.request}: {end} bytes were sent, Range is {answer.header('Range')}")
        self._acknowledged_bytes = self._sent_bytes = end
        self.history.count("chunk" if headers else "streamed PATCH")

    def _finish(self, client):
        self.link.begin(True)
        self._is_finishing = True
        headers = self._content_range(self.blob.size) if self.form is Form.CHUNKS_REST else {}
        self._check_created(self._send(client, "PUT", self._commit_path, self.blob.size, headers))

    def _content_range(self, end):
        start = self._acknowledged_bytes
        return {"Content-Range": f"{start}-{end - 1}"} if end > start else {}

    @property
    def _commit_path(self):
        return f"{self._location}{'&' if '?' in self._location else '?'}digest={self.blob.digest}"

    def _send(self, client, method, path, end, headers):
        """Sends what lies between the acknowledged offset and `end`."""
        is_stream = method == "PATCH" and self.form is Form.STREAM
        start = self._acknowledged_bytes
        body = Body(self.blob.parts(start, end), None if is_stream else end - start, self._pause_seconds)
        return self._counted(start, body, lambda: client.ask(method, path, headers, body))

    def _counted(self, start, body, ask):
        try:
            return ask()
        finally:
            self._sent_bytes = max(self._sent_bytes, start + body.sent)

    def _resume(self, client):
        """The first bytes after a crash. The lease of the process that died may be in the way for a moment. Few bytes,
        since a larger body that is refused may meet a closed connection."""
        start, began = self._acknowledged_bytes, time.monotonic()
        end = min(start + RESUME_BYTES, self.blob.size)
        while True:
            body = Body(self.blob.parts(start, end), end - start)
            answer = self._counted(start, body, lambda: client.ask("PATCH", self._location, body=body)).expect(202, 416)
            expected = end if answer.status == 202 else start
            if durable_bytes(answer, expected) != expected:
                raise Violation(f"{answer.request}: {answer.status} names {answer.header('Range')}, {expected} is due")
            if answer.status == 202:
                break
            time.sleep(0.02)
            self.history.busy(time.monotonic() - began)
            if time.monotonic() - began > BUSY_SECONDS_MAX:
                answer.expect(202)
        self._acknowledged_bytes = self._sent_bytes = end
        self._is_resumed = False
        self.history.count("upload resumed")

    def _check_created(self, answer):
        answer.expect(201)
        if answer.header("Docker-Content-Digest") != self.blob.digest:
            raise Violation(f"{answer.request}: 201 names {answer.header('Docker-Content-Digest')}")
        self.link.acknowledge(True)
        self.history.count(self.name)
        self._is_done = True

    # After a crash

    def recover(self, client):
        """The session goes on at a durable byte, or it was committed; a blob is never visible before that."""
        if self._location is None or self._is_done:
            return
        is_visible = self.link.look(client)  # First: a commit may still arrive between the two.
        answer = client.ask("GET", self._location).expect(204, 404)
        if answer.status == 404:
            self._check_committed(client)
            return
        if is_visible and not self._was_linked and not self.link.is_shared:
            raise Violation(f"{self.link} is visible though its upload is open")
        offset = durable_bytes(answer, self._acknowledged_bytes)
        if not self._acknowledged_bytes <= offset <= self._sent_bytes:
            raise Violation(f"{answer.request}: {offset} bytes are durable; {self._acknowledged_bytes} were "
                            f"acknowledged and {self._sent_bytes} sent")
        if offset > self._acknowledged_bytes:
            self.history.count("unanswered bytes kept")
        self._acknowledged_bytes = self._sent_bytes = offset
        self._is_resumed = True
        self.history.count("upload found again")

    def _check_committed(self, client):
        """A session is gone only once it is committed; then the PUT succeeds again."""
        if not self._is_finishing:
            raise Violation(f"{self._location} of {self.link} is gone, {self._acknowledged_bytes} bytes with it")
        self._check_created(client.ask("PUT", self._commit_path, body=Body.of(b"")))
        self.history.count("PUT repeated after its commit")


def durable_bytes(answer, expected):
    """The size that `Range` names. `0-0` stands for an empty session, and for one byte."""
    first, _, last = answer.header("Range").partition("-")
    if first != "0" or not last.isdigit():
        raise Violation(f"{answer.request}: Range is {answer.header('Range')!r}")
    return int(last) + 1 if last != "0" or expected == 1 else 0


class CancelledUpload(Operation):
    """A session that its client gives up: it is gone with the answer, and nothing of it is ever visible."""

    name = "upload cancelled"

    def __init__(self, history, repository, blob):
        super().__init__(history)
        self.repository, self.link = repository, history.link(repository, blob)
        self._location, self._is_cancelling = None, False

    def run(self, client):
        if self._location is None:
            begun = client.ask("POST", f"/v2/{self.repository}/blobs/uploads/").expect(202)
            self._location = begun.header("Location")
            blob = self.link.blob
            client.ask("PATCH", self._location, body=Body(blob.parts(0, blob.size), blob.size)).expect(202)
        self._cancel(client)
        client.ask("GET", self._location).expect(404)
        self.history.count(self.name)

    def _cancel(self, client):
        expected = (204, 404) if self._is_cancelling else (204,)
        self._is_cancelling = True
        deadline = time.monotonic() + BUSY_SECONDS_MAX
        while True:
            answer = client.ask("DELETE", self._location).expect(416, *expected)
            if answer.status != 416:
                return
            if time.monotonic() > deadline:
                answer.expect(*expected)
            time.sleep(0.02)

    def recover(self, client):
        if self._location:
            client.ask("GET", self._location).expect(*((204, 404) if self._is_cancelling else (204,)))


class WrongDigest(Operation):
    """A PUT that names another digest: refused, and neither the blob nor the session is there afterwards."""

    name = "wrong digest refused"

    def __init__(self, history, repository, blob, named):
        super().__init__(history)
        self.repository, self.blob, self._named = repository, blob, named
        for content in (blob, named):
            history.link(repository, content)  # Never there, which the next check sees.

    def run(self, client):
        begun = client.ask("POST", f"/v2/{self.repository}/blobs/uploads/").expect(202)
        location = begun.header("Location")
        body = Body(self.blob.parts(0, self.blob.size), self.blob.size)
        client.ask("PUT", f"{location}?digest={self._named.digest}", body=body).expect(400)
        client.ask("GET", location).expect(404)
        self.history.count(self.name)


class Mount(Operation):
    """Links a blob of another repository."""

    name = "blob mounted"

    def __init__(self, history, source, target):
        super().__init__(history)
        self._source, self._target, self._link = source, target, history.link(target, source.blob, source.is_shared)

    def run(self, client):
        self._link.begin(True)
        query = f"mount={self._source.blob.digest}&from={self._source.repository}"
        answer = client.ask("POST", f"/v2/{self._target}/blobs/uploads/?{query}").expect(201)
        if answer.header("Docker-Content-Digest") != self._source.blob.digest:
            raise Violation(f"{answer.request}: 201 names {answer.header('Docker-Content-Digest')}")
        self._link.acknowledge(True)
        self.history.count(self.name)


class PutManifest(Operation):
    """Pushes a manifest by its digest, or by a tag, which moves with it."""

    def __init__(self, history, repository, manifest, tag=None, name="manifest"):
        super().__init__(history)
        self.name = f"{name} by {'tag' if tag else 'digest'}"
        self._stored = history.stored(repository, manifest)
        self._tag = history.tag(repository, tag) if tag else None
        self._was_stored = not self._stored.is_surely(False)

    def run(self, client):
        manifest = self._stored.manifest
        self._stored.begin(True)
        if self._tag:
            self._tag.begin(manifest.digest)
        path = self._tag.path if self._tag else self._stored.path
        answer = client.ask("PUT", path, {"Content-Type": manifest.media_type}, Body.of(manifest.body)).expect(201)
        if answer.header("Docker-Content-Digest") != manifest.digest:
            raise Violation(f"{answer.request}: 201 names {answer.header('Docker-Content-Digest')}")
        if manifest.subject and answer.header("OCI-Subject") != manifest.subject:
            raise Violation(f"{answer.request}: 201 lacks OCI-Subject {manifest.subject}")
        self._stored.acknowledge(True)
        if self._tag:
            self._tag.acknowledge(manifest.digest)
        self.history.count(self.name)

    def recover(self, client):
        """Manifest and tag are one step: both or neither."""
        if self._tag is None or self._was_stored:
            return
        digest = self._stored.manifest.digest
        is_stored, target = self._stored.look(client), self._tag.look(client)
        if is_stored and target != digest:
            raise Violation(f"{self._stored} is visible, but {self._tag} points at {target}")
        if target == digest and not self._stored.look(client):
            raise Violation(f"{self._tag} points at {digest}, which is not visible")


class Delete(Operation):
    """Takes one thing away; what else goes with it, goes in the same step."""

    def __init__(self, history, thing, gone, name, with_it=()):
        super().__init__(history)
        self.name, self._thing, self._gone, self._with_it, self._is_repeated = name, thing, gone, with_it, False
        history.touched[thing] = True
        history.touched.update(dict.fromkeys(with_it, True))

    def run(self, client):
        self._thing.begin(self._gone)
        for other in self._with_it:
            other.begin(None)
        answer = client.ask("DELETE", self._thing.path).expect(*((202, 404) if self._is_repeated else (202,)))
        self._thing.acknowledge(self._gone)
        for other in self._with_it:
            other.acknowledge(None)
        self.history.count(self.name if answer.status == 202 else "delete repeated after its commit")

    def recover(self, client):
        self._is_repeated = True
        before = [other.look(client) for other in self._with_it]
        is_gone = self._thing.look(client) == self._gone
        if not is_gone and any(value is None for value in before):
            raise Violation(f"{self._thing} is there, but tags that point at it are gone")
        if is_gone and any(other.look(client) is not None for other in self._with_it):
            raise Violation(f"{self._thing} is gone, but tags still point at it")


class RefusedDelete(Operation):
    """A blob that a manifest uses stays."""

    name = "delete of a blob in use refused"

    def __init__(self, history, link):
        super().__init__(history)
        self._link = link

    def run(self, client):
        client.ask("DELETE", self._link.path).expect(405)
        self.history.count(self.name)


class Read(Operation):
    """Reads something back while others write."""

    name = "read back"

    def __init__(self, history, thing):
        super().__init__(history)
        self._thing = thing

    def run(self, client):
        self._thing.observe(self._thing.look(client))
        self.history.count(self.name)


class Sequence(Operation):
    """Operations one after the other, such as the blobs of an image and then its manifest."""

    def __init__(self, history, name, make_steps):
        """
        - make_steps: called when the sequence begins, a generator of operations; each is made when its turn comes.
        """
        super().__init__(history)
        self.name, self._steps, self._step = name, make_steps, None

    def run(self, client):
        while self._step or self._next():
            self._step.run(client)
            self._step = None

    def _next(self):
        self._step = next(self._steps, None)
        return self._step is not None

    def recover(self, client):
        if self._step:
            self._step.recover(client)


def borders(random, size, count_max=4):
    """Offsets that cut `size` bytes into a few chunks, inside pieces and at their ends."""
    if size < 16:
        return []
    cuts = {random.randrange(2, size) for _ in range(random.randint(1, count_max))}
    return sorted(cuts | ({MIB} if size > MIB else set()))
