# SPDX-License-Identifier: Apache-2.0
"""What the crash test pushes: blobs and manifests that are made from a seed, and that no two pushes share by accident.

The history of a long run names tens of thousands of blobs, so none is kept: its bytes are a header of its own and a
window of one pool of random bytes, and are made again whenever they are sent.
"""

import hashlib
import json
import random

KIB, MIB = 1 << 10, 1 << 20
PART_BYTES = 256 * KIB  # Bytes that are handed to the socket at once.

IMAGE = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
EMPTY = "application/vnd.oci.empty.v1+json"
ARTIFACT_TYPES = ("application/vnd.example.signature", "application/vnd.example.sbom+json")


class Blob:
    """Bytes and their digest. The bytes are made when they are asked for."""

    def __init__(self, header, window, algorithm):
        self._header, self._window, self.size = header, window, len(header) + len(window)
        whole = hashlib.new(algorithm)
        whole.update(header)
        whole.update(window)
        self.digest = f"{algorithm}:{whole.hexdigest()}"

    @property
    def algorithm(self):
        return self.digest.partition(":")[0]

    def parts(self, start, end):
        """The bytes of a half-open range, in parts of `PART_BYTES` at most."""
        for source, first in ((self._header, 0), (self._window, len(self._header))):
            begin, stop = max(start - first, 0), min(end - first, len(source))
            for offset in range(begin, stop, PART_BYTES):
                yield source[offset:min(offset + PART_BYTES, stop)]


class Manifest:
    """A manifest's bytes, and what it names: `blobs` and `children` as descriptors, `subject` as digest."""

    def __init__(self, document, algorithm="sha256"):
        self.body = json.dumps(document, separators=(",", ":")).encode()
        self.media_type = document["mediaType"]
        self.digest = f"{algorithm}:{hashlib.new(algorithm, self.body).hexdigest()}"
        self.blobs, self.children = references(document)
        self.subject = document.get("subject", {}).get("digest")
        self.artifact_type = document.get("artifactType")

    @property
    def descriptor(self):
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.body)}


def references(document):
    """Descriptors of the blobs and of the children that a manifest needs."""
    config = [document["config"]] if "config" in document else []
    return config + document.get("layers", []), document.get("manifests", [])


class Content:
    """A source of blobs and manifests; the same seed gives the same ones."""

    POOL_BYTES = 80 * MIB
    HEADER_BYTES = 24
    BLOB_BYTES_MAX = 76 * MIB
    _pools = {}

    def __init__(self, seed):
        self._name = str(seed)
        self.random = random.Random(self._name)
        self._pool = self._pools.setdefault(0, None) or self._make_pool()
        self._count = 0

    @classmethod
    def _make_pool(cls):
        """One pool for all: long enough that no blob holds the same piece twice."""
        cls._pools[0] = memoryview(random.Random("pool").randbytes(cls.POOL_BYTES))
        return cls._pools[0]

    def blob(self, size, algorithm="sha256"):
        """A new blob of `size` bytes. Below `HEADER_BYTES` it may be the same as another one's."""
        self._count += 1
        header = hashlib.sha256(f"{self._name}/{self._count}".encode()).digest()[:min(size, self.HEADER_BYTES)]
        offset = self.random.randrange(self.POOL_BYTES - size)
        return Blob(header, self._pool[offset:offset + size - len(header)], algorithm)

    def image(self, config, layers, subject=None, artifact_type=None, algorithm="sha256"):
        """An image manifest, or an artifact, of blobs."""
        document = {
            "schemaVersion": 2, "mediaType": IMAGE,
            "config": {"mediaType": CONFIG, "digest": config.digest, "size": config.size},
            "layers": [{"mediaType": LAYER, "digest": layer.digest, "size": layer.size} for layer in layers],
        }
        if artifact_type:
            document["artifactType"] = artifact_type
            document["config"]["mediaType"] = EMPTY
        if subject:
            document["subject"] = subject.descriptor
        return self._manifest(document, algorithm)

    def index(self, children, subject=None):
        document = {
            "schemaVersion": 2, "mediaType": INDEX, "manifests": [child.descriptor for child in children],
        }
        if subject:
            document["subject"] = subject.descriptor
        return self._manifest(document)

    def _manifest(self, document, algorithm="sha256"):
        self._count += 1
        document["annotations"] = {"org.example.number": f"{self._name}/{self._count}"}
        return Manifest(document, algorithm)


EMPTY_BLOB = Blob(b"", memoryview(b""), "sha256")
EMPTY_DOCUMENT = Blob(b"{}", memoryview(b""), "sha256")
