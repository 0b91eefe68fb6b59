# SPDX-License-Identifier: Apache-2.0
"""The system under test, an origin and an edge, and what every row asks of it."""

import base64
import contextlib
import hashlib
import hmac
import json
import os
import pathlib
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "Scripts"))

from support.processes import Process, reap, start, stop_all, wait_until  # noqa: E402

MIB = 1 << 20
READY_SECONDS = 90


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


# A proxy of the environment must not see these calls.
OPENER = urllib.request.build_opener(NoRedirect, urllib.request.ProxyHandler({}))


def http(method, url, headers=None, body=None):
    request = urllib.request.Request(url, data=body, method=method, headers=headers or {})
    try:
        with OPENER.open(request, timeout=60) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def is_ready(admin_url):
    try:
        return http("GET", admin_url + "/readyz")[0] == 200
    except OSError:
        return False


def metric(admin_url, name):
    """Sum of all samples of a metric."""
    total, is_there = 0.0, False
    for line in http("GET", admin_url + "/metrics")[2].decode().splitlines():
        sample, _, value = line.rpartition(" ")
        if sample.partition("{")[0] == name:
            total, is_there = total + float(value), True
    if not is_there:
        raise SystemExit(f"{admin_url} has no metric {name}")
    return total


def random_file(path, size):
    with open(path, "wb") as out:
        left = size
        while left > 0:
            out.write(os.urandom(min(left, 8 * MIB)))
            left -= 8 * MIB
    with open(path, "rb") as data:
        return "sha256:" + hashlib.file_digest(data, "sha256").hexdigest()


def push(repository_url, path, digest, authorization):
    """A running curl that pushes the file; see `finish_push`."""
    headers = {"Authorization": authorization} if authorization else {}
    status, answer, body = http("POST", repository_url + "/blobs/uploads/", {**headers, "Content-Length": "0"})
    if status != 202:
        raise SystemExit(f"upload refused: {status} {body!r}")
    location = urllib.parse.urljoin(repository_url, answer["Location"])
    location += ("&" if "?" in location else "?") + "digest=" + digest
    command = ["curl", "-sS", "--noproxy", "*", "-o", "/dev/null", "-w", "%{http_code}", "-T", str(path),
               "-H", "Expect:", "-H", "Content-Type: application/octet-stream", location]
    if authorization:
        command += ["-H", "Authorization: " + authorization]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def finish_push(process):
    if process.communicate()[0] != "201":
        raise SystemExit("push failed")


class System:
    """An origin and one edge. `description` is what Scripts/stack prints; the edge may be replaced for a while."""

    def __init__(self, description, programs):
        self.description, self.programs = description, programs
        self.origin, self.origin_pid = description["origin"], description["origin_pid"]
        self.origin_admin = description["origins"][0]["admin_url"]
        self.edge = description["edges"][0]
        self.basic = "Basic " + base64.b64encode(f"x-token:{description['token']}".encode()).decode()
        self.repository = description["registry"].partition("/")[2] + "/bench"
        self.repository_url = f"{self.origin}/v2/{self.repository}"

    @property
    def edge_address(self):
        url = urllib.parse.urlsplit(self.edge["url"])
        return url.hostname, url.port

    def bearer(self):
        status, _, body = http(
            "GET", f"{self.origin}/token?" + urllib.parse.urlencode(
                {"service": urllib.parse.urlsplit(self.origin).netloc,
                 "scope": f"repository:{self.repository}:pull,push"}), {"Authorization": self.basic})
        if status != 200:
            raise SystemExit(f"no token: {status} {body!r}")
        return "Authorization: Bearer " + json.loads(body)["token"]

    def link(self, digest):
        """Path and query of a link to the blob at the edge, with the MAC."""
        status, headers, body = http("GET", f"{self.repository_url}/blobs/{digest}", {"Authorization": self.basic})
        if status != 307:
            raise SystemExit(f"expected a redirect, got {status} {body!r}")
        link = urllib.parse.urlsplit(headers["Location"])
        return f"{link.path}?{link.query}"

    def parent_link(self, link):
        """Host, port and target from which the edge fills what `link` names: asked as the edge itself asks."""
        credential = pathlib.Path(self.edge["credential"]).read_text().strip()
        _, edge_id, secret, _ = credential.split(".")
        key = hkdf(unpadded(secret), "depot-edge-request|" + edge_id)
        path, body = "/edge/v1/fills", json.dumps({"link": link}).encode()
        timestamp, nonce = int(time.time()), secrets.token_hex(16)
        fields = (b"POST", path.encode(), timestamp.to_bytes(8, "big"), nonce.encode(), hashlib.sha256(body).digest())
        signed = b"".join(len(field).to_bytes(4, "big") + field for field in fields)
        signature = base64.urlsafe_b64encode(hmac.digest(key, signed, "sha256")).rstrip(b"=").decode()
        status, _, answer = http("POST", self.origin + path, {
            "Depot-Edge": edge_id, "Depot-Timestamp": str(timestamp), "Depot-Nonce": nonce,
            "Depot-Signature": signature, "Content-Type": "application/json"}, body)
        if status != 200:
            raise SystemExit(f"no parents: {status} {answer!r}")
        parent = urllib.parse.urlsplit(json.loads(answer)["parents"][0]["url"])
        return parent.hostname, parent.port, f"{parent.path}?{parent.query}"

    def wait_idle(self):
        """Until the edge fills nothing: a later measurement shall not pay for an earlier one's read-ahead."""
        last, since = -1.0, time.monotonic()
        deadline = since + 60
        while time.monotonic() < deadline:
            count = metric(self.edge["admin_url"], "depot_edge_fill_bytes_total")
            if count != last:
                last, since = count, time.monotonic()
            elif time.monotonic() - since > 0.3:
                return
            time.sleep(0.05)
        raise SystemExit("the edge fills for more than a minute what nobody reads")

    def stream_push(self, size, label):
        """Pushes `size` bytes as docker does, one streamed PATCH and a PUT, without a file of them.

        Returns the digest, the time from the last byte to the 201, and the time until the last byte, in seconds.
        """
        block = os.urandom(64 * MIB)
        status, answer, body = http(
            "POST", self.repository_url + "/blobs/uploads/", {"Authorization": self.basic, "Content-Length": "0"})
        if status != 202:
            raise SystemExit(f"upload refused: {status} {body!r}")
        location, origin = answer["Location"], urllib.parse.urlsplit(self.origin)
        hashing, began = hashlib.sha256(), time.monotonic()
        with socket.create_connection((origin.hostname, origin.port)) as connection:
            connection.sendall(
                f"PATCH {location} HTTP/1.1\r\nHost: {origin.netloc}\r\nAuthorization: {self.basic}\r\n"
                f"Content-Type: application/octet-stream\r\nContent-Length: {size}\r\n\r\n".encode())
            for number, start_byte in enumerate(range(0, size, len(block))):
                part = (number.to_bytes(8, "big") + block[8:])[:size - start_byte]
                hashing.update(part)
                connection.sendall(part)
            last_byte = time.monotonic()
            head = connection.makefile("rb").readline()
            if b" 202 " not in head:
                raise SystemExit(f"{label}: PATCH: {head!r}")
            digest = "sha256:" + hashing.hexdigest()
            status, _, body = http(
                "PUT", f"{self.origin}{location}?digest={digest}", {"Authorization": self.basic, "Content-Length": "0"},
                b"")
            committed = time.monotonic()
        if status != 201:
            raise SystemExit(f"{label}: PUT: {status} {body!r}")
        return digest, committed - last_byte, last_byte - began

    # The edge

    def start_edge(self, cache, log, options=()):
        """Starts an edge with the address and the credential of this system's, and returns its description."""
        listen, admin = (self.edge[key].partition("//")[2] for key in ("url", "admin_url"))
        process = start(
            [self.programs / "depot-edge", "serve", "--cache-directory", cache, "--credential-file",
             self.edge["credential"], "--listen", listen, "--admin-listen", admin, *options], log)
        return {**self.edge, "pid": process.pid, "cache": str(cache), "log": str(log)}

    def wait_for_edge(self):
        """Until the edge serves and the origin sends clients to it."""
        process = Process.of(self.edge["pid"])
        wait_until("the edge is not ready", lambda: is_ready(self.edge["admin_url"]), READY_SECONDS, process)

        def is_in_rotation():
            _, _, body = http("GET", self.origin_admin + "/api/v1/edges",
                              {"Authorization": "Bearer " + self.description["admin_token"]})
            return any(edge["id"] == self.edge["id"] and edge["in_rotation"] for edge in json.loads(body)["edges"])
        wait_until("the edge is not in rotation", is_in_rotation, READY_SECONDS, process)

    def stop_edge(self, kills=False):
        """Ends the edge. With `kills`, as a crash does: nothing is drained."""
        stop_all([Process.of(self.edge["pid"])], signal.SIGKILL if kills else signal.SIGTERM)
        reap(self.edge["pid"])

    @contextlib.contextmanager
    def other_edge(self, work, name, options=()):
        """A fresh edge in the place of this system's, with an empty cache of its own, below the folder `work`."""
        usual = self.edge
        self.stop_edge()
        try:
            self.edge = self.start_edge(work / name, work / f"{name}.log", options)
            try:
                self.wait_for_edge()
                yield self.edge
            finally:
                self.stop_edge(kills=True)
        finally:
            self.edge = usual
            self.restart_usual_edge()

    def restart_usual_edge(self):
        self.edge = self.start_edge(self.edge["cache"], pathlib.Path(self.edge["log"]))
        self.wait_for_edge()

    def cached_file(self, digest):
        """The file of a complete blob in the edge's cache."""
        hexadecimal = digest.partition(":")[2]
        found = list(pathlib.Path(self.edge["cache"], "c", hexadecimal[:2]).glob(hexadecimal + ".*"))
        if len(found) != 1:
            raise SystemExit(f"{digest} is not complete in the cache")
        return found[0]


class LoopbackSystem(System):
    """What Scripts/stack starts: one origin and one edge on 127.0.0.0/8."""

    def __init__(self, directory, programs):
        self.directory = directory
        stack = subprocess.run(
            [ROOT / "Scripts/stack", "up", "--dir", directory, "--edges", "1", "--programs", programs],
            check=True, stdout=subprocess.PIPE)
        description = json.loads(stack.stdout)
        for edge in description["edges"]:
            edge["credential"] = str(directory / edge["name"] / "credential")
        super().__init__(description, programs)

    def close(self):
        # The edge may be one that a row has started: the stack's own record does not know it.
        self.stop_edge()
        subprocess.run([ROOT / "Scripts/stack", "down", "--dir", self.directory], stdout=subprocess.DEVNULL)


def unpadded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def hkdf(master, info):
    """HKDF-SHA256 with an empty salt, 32 bytes."""
    return hmac.digest(hmac.digest(bytes(32), master, "sha256"), info.encode() + b"\x01", "sha256")
