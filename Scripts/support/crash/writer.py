# SPDX-License-Identifier: Apache-2.0
"""One client that pushes, moves, reads and deletes without pause, in every way there is."""

import threading

from .client import Died, Violation
from .content import ARTIFACT_TYPES, EMPTY_BLOB, EMPTY_DOCUMENT, KIB, MIB, Content
from .history import History
from .operations import (
    CancelledUpload, Delete, Form, Mount, PutManifest, Read, RefusedDelete, Sequence, Upload, WrongDigest, borders,
)

_TAG_COUNT = 40  # Tags that move; the others are each used once.
_RECENT_COUNT = 200  # What is chosen from, so that a long run does not read ever older things only.


class Writer:
    """A writer with its own blobs, manifests and tags, in repositories that all writers share.

    Operations that a crash cut off are gone on with, or left where they stand.
    """

    def __init__(self, number, seed, client, repositories, common_blobs):
        self._prefix, self._client, self._repositories, self._common = f"w{number}", client, repositories, common_blobs
        self._content = Content(f"{seed}/{number}")
        self._random = self._content.random
        self.history = History()
        self.unfinished = None
        self.faults = []
        self._stopped = threading.Event()
        self._choices = [
            (9, self._upload), (3, self._known_upload), (3, self._mount), (1, self._cancelled_upload),
            (1, self._wrong_digest), (8, self._image), (3, self._artifact), (3, self._index), (4, self._tag_move),
            (2, self._tag_delete), (2, self._manifest_delete), (2, self._blob_delete), (1, self._refused_delete),
            (5, self._read),
        ]

    # Running

    def run(self, is_large_first):
        """Works until the origin is killed. Returns when the connection broke, or None if something is wrong."""
        try:
            if is_large_first and self.unfinished is None:
                self.unfinished = self._large_upload()
            while not self._stopped.is_set():
                self.unfinished = self.unfinished or self._choose()
                self.unfinished.run(self._client)
                self.unfinished = None
        except Died as death:
            return death
        except Violation as violation:
            self.faults.append(str(violation))
        return None

    def stop(self):
        """For a run that is not ended by a crash."""
        self._stopped.set()

    def recover(self):
        """After the restart: looks at what was cut off, and half of the times finishes it while nothing else runs."""
        if self.unfinished is None:
            return
        try:
            self.unfinished.recover(self._client)
            choice = self._random.random()
            if choice < 0.5:
                self.unfinished.run(self._client)
            if choice < 0.6:
                self.unfinished = None
        except Died as death:
            self.faults.append(f"{self.unfinished.name}: the connection broke while nobody was killed: {death}")
        except Violation as violation:
            self.faults.append(f"{self.unfinished.name}: {violation}")

    def check(self, is_full, sample_count):
        """Compares what was touched, and a sample or all of the rest."""
        things = dict.fromkeys(self.history.take_touched())
        everything = self.history.things
        rest = everything if is_full else self._random.sample(everything, min(sample_count, len(everything)))
        things.update(dict.fromkeys(rest))
        try:
            self.faults += self.history.check(self._client, things)
        except Died as death:
            self.faults.append(f"the connection broke while nobody was killed: {death}")
        return len(things)

    def close(self):
        self._client.close()

    # Choosing

    def _choose(self):
        weights, makers = zip(*self._choices)
        while True:
            operation = self._random.choices(makers, weights)[0]()
            if operation:
                return operation

    def _repository(self):
        return self._random.choice(self._repositories)

    def _pick(self, things, is_fit):
        """One of the recent things that fits, or None."""
        fitting = [thing for thing in list(things.values())[-_RECENT_COUNT:] if is_fit(thing)]
        return self._random.choice(fitting) if fitting else None

    def _size(self):
        """Mostly small, around the limits of a piece now and then."""
        choice = self._random.random()
        if choice < 0.10:
            return self._random.choice((MIB - 1, MIB, MIB + 1, 2 * MIB, 64 * KIB))
        if choice < 0.15:
            return self._random.randrange(MIB, 5 * MIB)
        return self._random.randrange(24, 64 * KIB)

    # Blobs

    def _upload(self, repository=None, blob=None, is_shared=False):
        algorithm = "sha512" if self._random.random() < 0.15 else "sha256"
        blob = blob or self._content.blob(self._size(), algorithm)
        is_announced = blob.algorithm == "sha512" and self._random.random() < 0.5
        return Upload(
            self.history, repository or self._repository(), blob, self._random.choice(list(Form)),
            algorithm=blob.algorithm if is_announced else None, borders=borders(self._random, blob.size),
            is_slow=self._random.random() < 0.3, is_shared=is_shared)

    def _known_upload(self):
        """Again what is there already, one's own or what all writers push: the new file is dropped for the old one."""
        if self._random.random() < 0.5:
            return self._upload(blob=self._random.choice(self._common), is_shared=True)
        link = self._pick(self.history.links, lambda link: link.is_surely(True) and not link.is_shared)
        return link and self._upload(self._repository(), link.blob)

    def _large_upload(self):
        """With durable points within one body."""
        blob = self._content.blob(self._random.randrange(36 * MIB, Content.BLOB_BYTES_MAX))
        return Upload(self.history, self._repository(), blob, self._random.choice((Form.STREAM, Form.PUT)))

    def _mount(self):
        source = self._pick(self.history.links, lambda link: link.is_surely(True))
        return source and Mount(self.history, source, self._repository())

    def _cancelled_upload(self):
        return CancelledUpload(self.history, self._repository(), self._content.blob(self._size()))

    def _wrong_digest(self):
        blob, named = self._content.blob(self._size()), self._content.blob(100)
        return WrongDigest(self.history, self._repository(), blob, named)

    def _blob_delete(self):
        link = self._pick(self.history.links, lambda link: link.is_deletable)
        return link and Delete(self.history, link, False, "blob deleted")

    def _refused_delete(self):
        stored = self._pick(self.history.manifests, lambda stored: stored.is_surely(True) and stored.manifest.blobs)
        if not stored:
            return None
        digest = self._random.choice(stored.manifest.blobs)["digest"]
        return RefusedDelete(self.history, self.history.links[(stored.repository, digest)])

    # Manifests and tags

    def _image(self, subject=None):
        repository = subject.repository if subject else self._repository()
        return Sequence(self.history, "artifact" if subject else "image", self._image_steps(repository, subject))

    def _image_steps(self, repository, subject):
        layers = [self._content.blob(self._size()) for _ in range(self._random.randint(1, 4))]
        config = EMPTY_DOCUMENT if subject else self._content.blob(self._random.randrange(200, 4 * KIB))
        for blob in layers:
            yield self._upload(repository, blob)
        yield self._upload(repository, config, is_shared=config is EMPTY_DOCUMENT)
        tag = self._any_tag() if self._random.random() < (0.3 if subject else 0.7) else None
        manifest = self._content.image(
            config, layers, subject=subject and subject.manifest,
            artifact_type=self._random.choice(ARTIFACT_TYPES) if subject else None,
            algorithm="sha512" if tag is None and self._random.random() < 0.15 else "sha256")
        yield PutManifest(self.history, repository, manifest, tag, "artifact" if subject else "image")

    def _artifact(self):
        subject = self._pick(self.history.manifests, lambda stored: stored.is_surely(True))
        return subject and self._image(subject)

    def _index(self):
        """Over manifests of one repository that are there, or were: children may be missing."""
        first = self._pick(self.history.manifests, lambda stored: stored.is_settled)
        if not first:
            return None
        others = [self._pick(self.history.manifests, lambda stored: stored.repository == first.repository)
                  for _ in range(self._random.randint(0, 3))]
        children = {stored.manifest.digest: stored.manifest for stored in [first, *others]}
        tag = self._any_tag() if self._random.random() < 0.5 else None
        manifest = self._content.index(list(children.values()))
        return PutManifest(self.history, first.repository, manifest, tag, "index")

    def _any_tag(self):
        number = self._random.randrange(_TAG_COUNT) if self._random.random() < 0.5 else len(self.history.manifests)
        return f"{self._prefix}-{number}"

    def _tag_move(self):
        stored = self._pick(self.history.manifests, lambda stored: (
            stored.is_surely(True) and stored.manifest.digest.startswith("sha256:")))
        if not stored:
            return None
        tag = f"{self._prefix}-{self._random.randrange(_TAG_COUNT)}"
        return PutManifest(self.history, stored.repository, stored.manifest, tag, "known manifest")

    def _tag_delete(self):
        tag = self._pick(self.history.tags, lambda tag: tag.is_settled and tag.value)
        return tag and Delete(self.history, tag, None, "tag deleted")

    def _manifest_delete(self):
        """Of one whose tags are all known, as they go with it."""
        stored = self._pick(self.history.manifests, lambda stored: stored.is_surely(True))
        if not stored:
            return None
        digest = stored.manifest.digest
        tags = [tag for tag in self.history.tags.values()
                if tag.repository == stored.repository and tag.allows(lambda value: value == digest)]
        if not all(tag.is_settled for tag in tags):
            return None
        return Delete(self.history, stored, False, "manifest deleted", tags)

    def _read(self):
        things = self._random.choice((self.history.links, self.history.manifests, self.history.tags))
        thing = self._pick(things, lambda thing: thing.is_settled)
        return thing and Read(self.history, thing)


def common_blobs(seed):
    """Blobs that all writers push, and that nobody deletes."""
    content = Content(f"{seed}/common")
    return [EMPTY_BLOB, EMPTY_DOCUMENT, content.blob(20 * KIB), content.blob(MIB), content.blob(3 * MIB + 7)]
