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


class Nginx:
    """Static files by sendfile, and a slice cache in front of them."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.static_root = self.directory / "static"
        self.cache_root = self.directory / "cache"
        for folder in (self.static_root, self.cache_root, self.directory / "logs"):
            folder.mkdir(parents=True, exist_ok=True)
        self.static_port, self.cache_port = free_port(), free_port()
        text = (HERE / "nginx.conf").read_text()
        for name, value in {
            "DIRECTORY": self.directory, "STATIC_PORT": self.static_port, "CACHE_PORT": self.cache_port,
            "USER": "root" if os.geteuid() == 0 else os.environ.get("USER", "nobody"),
        }.items():
            text = text.replace(f"@{name}@", str(value))
        configuration = self.directory / "nginx.conf"
        configuration.write_text(text)
        self.process = subprocess.Popen(["nginx", "-p", str(self.directory), "-c", str(configuration)])
        wait_for_port("127.0.0.1", self.cache_port)

    def pids(self):
        """The workers: cache manager and cache loader do nothing here, and the loader ends after a minute."""
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(pid) for pid in children if b"worker process" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()]

    def stop(self):
        self.process.send_signal(signal.SIGQUIT)
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
            env={**os.environ, "OTEL_TRACES_EXPORTER": "none"})
        wait_for_port("127.0.0.1", self.port)

    def pids(self):
        return [self.process.pid]

    def wipe(self):
        shutil.rmtree(self.storage / "docker", ignore_errors=True)

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
