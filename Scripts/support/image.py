# SPDX-License-Identifier: Apache-2.0
"""Makes a container image from real files of this machine, as an OCI layout on disk."""

import gzip
import hashlib
import io
import json
import os
import pathlib
import shutil
import stat
import tarfile

from .console import Failure

MIB = 1 << 20
_FILE_BYTES_MAX = 128 * MIB
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def make_image(layout, layer_bytes_min=56 * MIB, layer_count=6):
    """Writes an image with `layer_count` layers of at least `layer_bytes_min` (gzip) and one tiny layer.

    No file is in two layers, so all layers differ. Returns the layers' sizes in bytes.
    """
    layout = pathlib.Path(layout)
    blobs = layout / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    files = _real_files()
    layers = [_write_layer(blobs, files, layer_bytes_min) for _ in range(layer_count)]
    layers.append(_write_layer(blobs, files, 1))
    config = _write_json(blobs, "application/vnd.oci.image.config.v1+json", {
        "architecture": _ARCHITECTURES.get(os.uname().machine, os.uname().machine), "os": "linux",
        "config": {"Cmd": ["/bin/true"]},
        "rootfs": {"type": "layers", "diff_ids": [diff_id for _, diff_id in layers]},
    })
    manifest = _write_json(blobs, "application/vnd.oci.image.manifest.v1+json", {
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config,
        "layers": [layer for layer, _ in layers],
    })
    manifest["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest]}))
    (layout / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    return [layer["size"] for layer, _ in layers]


def _real_files():
    """Paths of regular files of the system and the toolchain, each inode once."""
    swift = shutil.which("swift")
    roots = ["/usr/bin", "/usr/share", "/usr/lib", "/usr/local", "/opt"]
    if swift:
        roots.append(str(pathlib.Path(swift).resolve().parents[1]))
    seen = set()
    for root in roots:
        for folder, folders, names in os.walk(root):
            folders.sort()
            for name in sorted(names):
                path = os.path.join(folder, name)
                try:
                    status = os.lstat(path)
                except OSError:
                    continue
                identity = (status.st_dev, status.st_ino)
                is_fit = stat.S_ISREG(status.st_mode) and 0 < status.st_size <= _FILE_BYTES_MAX
                if is_fit and identity not in seen and os.access(path, os.R_OK):
                    seen.add(identity)
                    yield path


def _write_layer(blobs, files, bytes_min):
    """Packs files until the archive has the wanted size. Returns descriptor and diff id."""
    temporary = blobs / "new"
    with open(temporary, "wb") as file:
        archive = _Digesting(file)
        with gzip.GzipFile(fileobj=archive, mode="wb", compresslevel=1, mtime=0) as packed:
            content = _Digesting(packed)
            with tarfile.open(fileobj=content, mode="w|", format=tarfile.PAX_FORMAT) as tar:
                for path in files:
                    _add(tar, path)
                    if archive.size >= bytes_min:
                        break
                else:
                    raise Failure("this machine has too few files to make an image from")
    temporary.rename(blobs / archive.digest.partition(":")[2])
    media_type = "application/vnd.oci.image.layer.v1.tar+gzip"
    return {"mediaType": media_type, "digest": archive.digest, "size": archive.size}, content.digest


def _add(tar, path):
    """Adds a file as one of root's without special bits, so that a rootless client can unpack it."""
    data = pathlib.Path(path).read_bytes()
    entry = tarfile.TarInfo(path.lstrip("/"))
    entry.size, entry.mode = len(data), 0o755 if os.access(path, os.X_OK) else 0o644
    tar.addfile(entry, io.BytesIO(data))


def _write_json(blobs, media_type, value):
    data = json.dumps(value, separators=(",", ":")).encode()
    digest = hashlib.sha256(data).hexdigest()
    (blobs / digest).write_bytes(data)
    return {"mediaType": media_type, "digest": "sha256:" + digest, "size": len(data)}


class _Digesting:
    """A file that knows the SHA-256 and the size of what went through it."""

    def __init__(self, file):
        self._file, self._hash, self.size = file, hashlib.sha256(), 0

    def write(self, data):
        self._hash.update(data)
        self.size += len(data)
        return self._file.write(data)

    @property
    def digest(self):
        return "sha256:" + self._hash.hexdigest()
