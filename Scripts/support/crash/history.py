# SPDX-License-Identifier: Apache-2.0
"""What one writer was told, and what may therefore be seen.

Each thing that a writer changes (a blob in a repository, a manifest, a tag) is a `Register`: the value acknowledged
last, and values that a request without an answer may have written. Whatever is read has to be one of them; once read,
it is the value. Nobody else writes to a writer's things, so that the rule stays this simple.
"""

import collections
import json
import urllib.parse

from .client import Violation, next_page
from .content import INDEX

# A request of a killed origin may still commit a moment later, since PostgreSQL lives on. Read unchanged after this
# many deaths, it never will.
SIGHTINGS_MAX = 2


class Register:
    """One value in the registry, from outside."""

    def __init__(self, name, value, is_shared=False):
        self.name, self.value, self.is_shared = name, value, is_shared
        self._maybe = []  # [value, times that something else was read instead]

    def __str__(self):
        return self.name

    @property
    def is_settled(self):
        return not self._maybe

    def is_surely(self, value):
        return self.is_settled and self.value == value

    def begin(self, value):
        """A request that writes `value` is about to be sent."""
        if all(value != other for other, _ in self._maybe):
            self._maybe.append([value, 0])

    def acknowledge(self, value):
        self.value, self._maybe = value, []

    def refuse(self):
        """The request was answered, and changed nothing."""
        self._maybe = []

    def allows(self, test):
        return any(test(value) for value in [self.value, *(value for value, _ in self._maybe)])

    def observe(self, value):
        """Takes what was read.

        Throws: `Violation` if it was neither acknowledged nor asked for.
        """
        if self.is_shared and not self.value:
            return  # Others may have written it.
        if value != self.value and not self.allows(lambda allowed: allowed == value):
            wanted = " or ".join(str(item) for item in [self.value, *(value for value, _ in self._maybe)])
            raise Violation(f"{self.name} is {value}; acknowledged or asked for: {wanted}")
        if value != self.value:
            self.acknowledge(value)
            return
        for maybe in self._maybe:
            maybe[1] += 1
        self._maybe = [maybe for maybe in self._maybe if maybe[1] < SIGHTINGS_MAX]


class Link(Register):
    """Whether a repository holds a blob."""

    def __init__(self, repository, blob, is_shared):
        super().__init__(f"blob {blob.digest} of {repository}", False, is_shared)
        self.repository, self.blob, self.users = repository, blob, []

    @property
    def path(self):
        return f"/v2/{self.repository}/blobs/{self.blob.digest}"

    @property
    def is_deletable(self):
        """Whether no manifest can be using it."""
        return not self.is_shared and self.is_surely(True) and all(user.is_surely(False) for user in self.users)

    def look(self, client):
        """Whether the repository serves it. Throws `Violation` for wrong bytes."""
        answer = client.ask("GET", self.path, hash_name=self.blob.algorithm).expect(200, 404)
        if answer.status == 404:
            return False
        served = f"{self.blob.algorithm}:{answer.body.hexdigest()}"
        if served != self.blob.digest or answer.size != self.blob.size:
            raise Violation(f"{self}: {answer.size} bytes of {served} were served, pushed were {self.blob.size}")
        return True


class Stored(Register):
    """Whether a repository holds a manifest."""

    def __init__(self, repository, manifest):
        super().__init__(f"manifest {manifest.digest} of {repository}", False)
        self.repository, self.manifest = repository, manifest

    @property
    def path(self):
        return f"/v2/{self.repository}/manifests/{self.manifest.digest}"

    def look(self, client):
        answer = client.ask("GET", self.path).expect(200, 404)
        if answer.status == 404:
            return False
        if answer.body != self.manifest.body or answer.header("Content-Type") != self.manifest.media_type:
            raise Violation(f"{self}: other bytes or another type than pushed were served")
        return True


class Tag(Register):
    """What a tag points at: a digest, or None."""

    def __init__(self, repository, tag, history):
        super().__init__(f"tag {repository}:{tag}", None)
        self.repository, self.tag, self._history = repository, tag, history

    @property
    def path(self):
        return f"/v2/{self.repository}/manifests/{self.tag}"

    def look(self, client):
        answer = client.ask("GET", self.path).expect(200, 404)
        if answer.status == 404:
            return None
        digest = answer.header("Docker-Content-Digest")
        stored = self._history.manifests.get((self.repository, digest))
        if stored is None or answer.body != stored.manifest.body:
            raise Violation(f"{self} serves {len(answer.body)} bytes as {digest}, which were never pushed")
        return digest


class Subject:
    """The referrers of one digest. Not a register: its truth is that of the manifests."""

    def __init__(self, repository, digest):
        self.name = f"referrers of {digest} in {repository}"
        self.repository, self.digest, self.referrers = repository, digest, []

    def check(self, client):
        path, seen = f"/v2/{self.repository}/referrers/{self.digest}", {}
        while path:
            answer = client.ask("GET", path).expect(200)
            seen.update((entry["digest"], entry) for entry in json.loads(answer.body)["manifests"])
            path = next_page(answer)
        for stored in self.referrers:
            entry = seen.pop(stored.manifest.digest, None)
            if not stored.allows(lambda value: value == (entry is not None)):
                raise Violation(f"{self.name}: {stored} is {'listed' if entry else 'missing'}")
            if entry and not (stored.manifest.descriptor.items() <= entry.items()):
                raise Violation(f"{self.name}: {stored} is listed as {entry}")
        if seen:
            raise Violation(f"{self.name}: nobody pushed {sorted(seen)}")


class History:
    """Everything that one writer has asked for and was told."""

    def __init__(self):
        self.links, self.manifests, self.tags, self.subjects = {}, {}, {}, {}
        self.acknowledged = collections.Counter()
        self.busy_count, self.busy_seconds_max = 0, 0.0
        self.touched = {}  # Of things changed since the last check; a dictionary, to keep their order.

    def link(self, repository, blob, is_shared=False):
        return self._thing(self.links, (repository, blob.digest), lambda: Link(repository, blob, is_shared))

    def stored(self, repository, manifest):
        key = (repository, manifest.digest)
        return self._thing(self.manifests, key, lambda: self._new_stored(repository, manifest))

    def tag(self, repository, tag):
        return self._thing(self.tags, (repository, tag), lambda: Tag(repository, tag, self))

    def _thing(self, things, key, make):
        if key not in things:
            things[key] = make()
        self.touched[things[key]] = True
        return things[key]

    def _new_stored(self, repository, manifest):
        """A manifest that is about to be pushed, made known to what it names."""
        stored = Stored(repository, manifest)
        for descriptor in manifest.blobs:
            link = self.links.get((repository, descriptor["digest"]))
            if link:
                link.users.append(stored)
        if manifest.subject:
            key = (repository, manifest.subject)
            self.subjects.setdefault(key, Subject(*key)).referrers.append(stored)
        return stored

    def count(self, what):
        """One more request of this kind was acknowledged."""
        self.acknowledged[what] += 1

    def busy(self, seconds):
        """An upload was refused since the lease of the process that died was still in the way, for so long by now."""
        self.busy_count += 1
        self.busy_seconds_max = max(self.busy_seconds_max, seconds)

    def take_touched(self):
        touched, self.touched = list(self.touched), {}
        return touched

    @property
    def things(self):
        return [*self.links.values(), *self.manifests.values(), *self.tags.values()]

    def check(self, client, things):
        """Reads things and compares; returns what is wrong."""
        faults = []
        subjects = {}
        for thing in things:
            _collect(faults, lambda: thing.observe(thing.look(client)))
            if not thing.is_settled:
                self.touched[thing] = True  # Looked at again after the next death.
            if isinstance(thing, Stored) and thing.manifest.subject:
                subjects[(thing.repository, thing.manifest.subject)] = True
        for key in subjects:
            _collect(faults, lambda: self.subjects[key].check(client))
        return faults


def _collect(faults, check):
    try:
        check()
    except Violation as violation:
        faults.append(str(violation))


class Visible:
    """Looks at a registry as a stranger does, from the catalog downwards: whatever is listed has to be whole."""

    def __init__(self, histories):
        self._histories = histories
        self._whole = set()  # (repository, digest) of manifests that were found whole.
        self._held = set()  # Paths of blobs that answered in the check that runs.

    def check(self, client, prefix, is_full):
        """Returns what is wrong in the repositories below `prefix`.

        - is_full: looks again at manifests that were found whole before.
        """
        faults = []
        self._held.clear()
        if is_full:
            self._whole.clear()
        listed = [name for name in _catalog(client) if name.startswith(prefix + "/")]
        for repository in self._missing_repositories(listed):
            faults.append(f"the catalog lacks {repository}")
        for repository in listed:
            tags = _listed(client, f"/v2/{repository}/tags/list?n=1000", "tags")
            faults += self._tag_faults(repository, set(tags))
            for reference in [*tags, *self._referrers(client, repository, is_full)]:
                _collect(faults, lambda: self._check_manifest(client, repository, reference))
        return faults

    def _missing_repositories(self, listed):
        used = {thing.repository for history in self._histories for thing in history.manifests.values()
                if thing.is_surely(True)}
        return sorted(used - set(listed))

    def _tag_faults(self, repository, listed):
        """Tags that are listed and should not be, and the other way round."""
        faults, known = [], set()
        for history in self._histories:
            for (name, tag), register in history.tags.items():
                if name == repository:
                    known.add(tag)
                    if not register.allows(lambda digest: (digest is not None) == (tag in listed)):
                        faults.append(f"{register} is {'listed' if tag in listed else 'missing'} in the list of tags")
        return faults + [f"tag {repository}:{tag} is listed; nobody pushed it" for tag in sorted(listed - known)]

    def _referrers(self, client, repository, is_full):
        """Digests that the lists of referrers name."""
        for history in self._histories:
            for (name, subject), entry in list(history.subjects.items()):
                if name == repository and (is_full or self._is_new(repository, entry)):
                    yield from (item["digest"] for item in
                                _listed(client, f"/v2/{repository}/referrers/{subject}", "manifests"))

    def _is_new(self, repository, entry):
        return any((repository, stored.manifest.digest) not in self._whole and not stored.is_surely(False)
                   for stored in entry.referrers)

    def _check_manifest(self, client, repository, reference):
        """That everything a visible manifest names is there; children of an index may be missing."""
        digest = reference if ":" in reference else self._known_target(repository, reference)
        if (repository, digest) in self._whole:
            return
        answer = client.ask("GET", f"/v2/{repository}/manifests/{reference}").expect(200, 404)
        if answer.status == 404:
            if self._may_be_absent(repository, reference):
                return
            raise Violation(f"{repository} lists {reference}, which is not there")
        digest = answer.header("Docker-Content-Digest")
        document = json.loads(answer.body)
        for descriptor in [] if document["mediaType"] == INDEX else [document["config"], *document["layers"]]:
            self._check_blob(client, repository, digest, descriptor)
        for child in document.get("manifests", []):
            if client.ask("HEAD", f"/v2/{repository}/manifests/{child['digest']}").expect(200, 404).status == 200:
                self._check_manifest(client, repository, child["digest"])
        self._whole.add((repository, digest))

    def _known_target(self, repository, tag):
        """What a tag surely points at, or None."""
        for history in self._histories:
            register = history.tags.get((repository, tag))
            if register and register.is_settled:
                return register.value
        return None

    def _may_be_absent(self, repository, reference):
        """Whether a delete without an answer may have taken it away after it was listed."""
        for history in self._histories:
            register = history.tags.get((repository, reference)) or history.manifests.get((repository, reference))
            if register:
                return register.allows(lambda value: not value)
        return False

    def _check_blob(self, client, repository, manifest, descriptor):
        path = f"/v2/{repository}/blobs/{descriptor['digest']}"
        if path in self._held:
            return
        answer = client.ask("HEAD", path)
        if answer.status != 200 or answer.header("Content-Length") != str(descriptor["size"]):
            raise Violation(f"manifest {manifest} of {repository} is visible, its blob {descriptor['digest']} is not: "
                            f"{answer.status}")
        self._held.add(path)


def _catalog(client):
    return _listed(client, "/v2/_catalog?n=1000", "repositories")


def _listed(client, path, key):
    """All items of a list; a repository that does not exist lists nothing."""
    items = []
    while path:
        answer = client.ask("GET", path).expect(200, 404)
        if answer.status == 404:
            return items
        items += json.loads(answer.body)[key]
        path = next_page(answer)
    return items
