# SPDX-License-Identifier: Apache-2.0
"""What the rows share: the system, its peers and the load generator, each started when a row first needs it."""

import contextlib
import functools
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from measure import Measurement, Sample, peak_memory_bytes, reset_peak_memory
from peers import Certificate, DockerRegistry, Nginx
from support import build
from system import MIB, ROOT, LoopbackSystem, finish_push, push, random_file

# Room for the links of a whole run, and nothing written for each request.
ENVIRONMENT = {
    "DEPOT_DIRECT_SERVE_BYTES_MAX": "0", "DEPOT_LINK_TTL_SECONDS": "14400", "DEPOT_LOG_LEVEL": "warning",
    "DEPOT_ACCESS_LOG": "off",
}


def say(text):
    print("  " + text, file=sys.stderr, flush=True)


class Bench:
    def __init__(self, arguments):
        self.arguments = arguments
        self.closing = contextlib.ExitStack()
        os.environ.update(ENVIRONMENT)
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="depot-bench-", dir=arguments.directory))
        self.closing.callback(shutil.rmtree, self.work, ignore_errors=True)
        self.large = arguments.size_mib * MIB
        self.blobs = {}
        self.notes = []

    def close(self):
        self.closing.close()

    def note(self, text):
        """Something to be printed below the table."""
        say(text)
        self.notes.append(text)

    # What is started

    def compiled(self, name, *options):
        compiler = next((c for c in ("cc", "clang", "gcc") if shutil.which(c)), None)
        if compiler is None:
            raise SystemExit("no C compiler: Scripts/install-dependencies bench")
        program = self.work / name
        subprocess.run([compiler, "-O2", "-o", program, ROOT / "Benchmarks" / f"{name}.c", *options], check=True)
        return program

    @functools.cached_property
    def sink_program(self):
        return self.compiled("sink", "-lssl", "-lcrypto")

    @functools.cached_property
    def relay_program(self):
        return self.compiled("relay", "-pthread")

    @functools.cached_property
    def system(self):
        system = LoopbackSystem(self.work / "stack", self.programs)
        self.closing.callback(system.close)
        return system

    @functools.cached_property
    def former_system(self):
        """The system as it was: that of the programs of another build."""
        if self.arguments.before is None:
            raise SystemExit("--before FOLDER: where are the programs to compare with?")
        system = LoopbackSystem(self.work / "former", pathlib.Path(self.arguments.before).resolve())
        self.closing.callback(system.close)
        return system

    @functools.cached_property
    def programs(self):
        """The folder of our programs."""
        chosen = self.arguments.programs
        return pathlib.Path(chosen).resolve() if chosen else build.programs("release")

    @functools.cached_property
    def certificate(self):
        return Certificate(self.work, ["127.0.0.1", "127.0.0.2"])

    @functools.cached_property
    def nginx(self):
        nginx = Nginx(self.work / "nginx", self.certificate)
        self.closing.callback(nginx.stop)
        return nginx

    @functools.cached_property
    def registry(self):
        registry = DockerRegistry(self.work / "registry")
        self.closing.callback(registry.stop)
        return registry

    # Blobs

    def pushed(self, name, size):
        """Digest of a random blob that the origin and nginx's static root both have."""
        if name not in self.blobs:
            path = self.nginx.static_root / name
            digest = random_file(path, size)
            finish_push(push(self.system.repository_url, path, digest, self.system.basic))
            self.blobs[name] = digest
        return self.blobs[name]

    # Load

    def sink_command(self, host, port, connections, targets, requests=None, seconds=None, method="GET", headers=(),
                     options=()):
        limit = ["-n", str(requests)] if requests else ["-d", str(seconds)]
        command = [self.sink_program, host, str(port), str(connections), *limit, "-m", method, *map(str, options)]
        for header in headers:
            command += ["-H", header]
        return [*command, *targets]

    def sink(self, host, port, connections, targets, **how):
        done = subprocess.run(
            self.sink_command(host, port, connections, targets, **how), stdout=subprocess.PIPE, text=True)
        return self.sink_result(done.stdout, host, port, targets)

    def sink_result(self, output, host, port, targets):
        result = json.loads(output.splitlines()[-1]) if output else {"errors": "no answers, so all are"}
        if result["errors"]:
            raise SystemExit(f"{result['errors']} failed requests at {host}:{port} {targets[0][:80]}")
        return result

    @contextlib.contextmanager
    def streaming(self, host, port, connections, targets, rate, seconds, options=()):
        """Runs the body while that many readers, none of them faster than `rate` bytes a second, all read.

        Fails if one of them was broken off, or got nothing. The dictionary that the body gets has their result later.
        """
        command = self.sink_command(
            host, port, connections, targets, seconds=seconds, options=["-r", rate, *options])
        readers = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        try:
            first = readers.stdout.readline()
            if "streaming" not in first:
                raise SystemExit(f"not all of {connections} readers got an answer: {first!r}")
            result = {}
            yield result
            result.update(self.sink_result(readers.communicate()[0], host, port, targets))
            if result["fewest_bytes"] <= 0:
                raise SystemExit("a reader got nothing")
        finally:
            readers.kill()
            readers.wait()

    def pairs(self, row, ours, peer, our_pids, peer_pids, before_ours=None, before_peer=None):
        """Runs both sides in turn. A body returns the value and the bytes moved, or a function that makes them of the
        seconds that it took."""
        reset_peak_memory(our_pids)
        for index in range(self.arguments.pairs):
            for samples, body, pids in ((row.ours, ours, our_pids), (row.peer, peer, peer_pids)):
                if body is None:
                    continue
                prepare = before_peer if body is peer else before_ours
                if prepare:
                    prepare()
                with Measurement(pids) as measured:
                    result = body(index)
                value, byte_count = result(measured.seconds) if callable(result) else result
                samples.append(Sample(value, measured.cpu, byte_count))
            say(f"{row.name} pair {index + 1}")
        row.peak = peak_memory_bytes(our_pids)
        return row
