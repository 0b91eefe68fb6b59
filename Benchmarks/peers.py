# SPDX-License-Identifier: Apache-2.0
"""The programs that we measure against, started from the configuration that is committed beside this file."""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent


def free_port(host="127.0.0.1"):
    with socket.socket() as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


def wait_for_port(host, port, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex((host, port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"nothing listens on {host}:{port} after {seconds} s")


class Certificate:
    """A key and a certificate for these addresses that is its own authority, in two PEM files."""

    def __init__(self, directory, addresses):
        self.path, self.key_path = directory / "certificate.pem", directory / "key.pem"
        names = ",".join(f"IP:{address}" for address in addresses)
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "7",
             "-subj", "/CN=bench", "-addext", f"subjectAltName={names}", "-keyout", self.key_path, "-out", self.path],
            check=True, stderr=subprocess.DEVNULL)


class Nginx:
    """Static files by sendfile, the same over TLS, and a slice cache in front of `parent`, or of its own static files.

    It serves in the network namespace in which it is made.
    """

    def __init__(self, directory, certificate, host="127.0.0.1", parent=None):
        self.directory, self.host = pathlib.Path(directory), host
        self.static_root = self.directory / "static"
        self.cache_root = self.directory / "cache"
        for folder in (self.static_root, self.cache_root, self.directory / "logs"):
            folder.mkdir(parents=True, exist_ok=True)
        self.static_port, self.tls_port, self.cache_port = (free_port(host) for _ in range(3))
        text = (HERE / "nginx.conf").read_text()
        for name, value in {
            "DIRECTORY": self.directory, "HOST": host, "STATIC_PORT": self.static_port, "TLS_PORT": self.tls_port,
            "CACHE_PORT": self.cache_port, "PARENT": parent or f"{host}:{self.static_port}",
            "CERTIFICATE": certificate.path, "KEY": certificate.key_path,
            "USER": "root" if os.geteuid() == 0 else os.environ.get("USER", "nobody"),
        }.items():
            text = text.replace(f"@{name}@", str(value))
        configuration = self.directory / "nginx.conf"
        configuration.write_text(text)
        # In a session of its own: Ctrl-C is for the harness, which then ends it in order.
        self.process = subprocess.Popen(
            ["nginx", "-p", str(self.directory), "-c", str(configuration)], start_new_session=True)
        wait_for_port(host, self.cache_port)

    def pids(self):
        """The master, from which the workers descend."""
        return [self.process.pid]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)


class DockerRegistry:
    """distribution 2.8 on the local file system, without authentication and without access log."""

    def __init__(self, directory):
        self.root = pathlib.Path(directory)
        self.port = free_port()
        self.storage = self.root / "registry"
        self.storage.mkdir(parents=True, exist_ok=True)
        configuration = self.root / "config.yml"
        configuration.write_text(
            (HERE / "docker-registry.yml").read_text()
            .replace("@STORAGE@", str(self.storage)).replace("@PORT@", str(self.port)))
        self.process = subprocess.Popen(
            ["docker-registry", "serve", str(configuration)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "OTEL_TRACES_EXPORTER": "none"}, start_new_session=True)
        wait_for_port("127.0.0.1", self.port)

    def pids(self):
        return [self.process.pid]

    def wipe(self):
        shutil.rmtree(self.storage / "docker", ignore_errors=True)

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
