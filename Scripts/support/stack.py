# SPDX-License-Identifier: Apache-2.0
"""A whole system in one folder: PostgreSQL, origins and edges, as background processes.

  DIR/stack.json      what `up` prints, mode 0600
  DIR/plan.json       shape and ports, kept over restarts
  DIR/run/NAME.json   process records, see `processes.Process`
  DIR/log/NAME.log    output of each program
  DIR/origin-N/       data directory of an origin; with one origin, its private PostgreSQL too
  DIR/database/       the shared private PostgreSQL of several origins
  DIR/shared/         blob directory and key file of several origins
  DIR/edge-N/         cache directory and credential of an edge
  DIR/tls/            with --tls: see `authority`
"""

import contextlib
import fcntl
import json
import os
import pathlib
import re
import subprocess

from . import build, http
from .authority import Authority
from .console import Failure, say
from .ports import free_port
from .postmaster import PrivateCluster
from .processes import Process, start, stop_all, wait_until, write_private

REGIONS = ("eu-1", "us-1", "ap-1", "sa-1", "af-1", "me-1", "oc-1")
EDGE_COUNT_MAX = 200  # One address of 127.0.0.0/24 each.
ORIGIN_COUNT_MAX = 16
ORIGIN_HOST = "127.0.0.1"
READY_SECONDS = 90  # A first start makes a PostgreSQL cluster, on a machine that may be compiling.

_CREDENTIAL = re.compile(r"depot-edge\.([a-z0-9]+)\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


class Stack:
    """The system in `directory`. One script at a time works on it."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory).resolve()

    # Commands

    def up(self, edge_count=None, origin_count=None, configuration="debug", database_url=None, programs=None,
           has_tls=False):
        """Starts what does not run, adopts what does, waits until clients can use it, and returns stack.json.

        Without counts, a folder keeps the shape it has; a new one gets one origin and two edges.
        """
        programs = pathlib.Path(programs).resolve() if programs else build.programs(configuration)
        self.directory.mkdir(parents=True, exist_ok=True)
        with self._locked():
            plan = Plan.load_or_make(
                self.directory / "plan.json", edge_count, origin_count, database_url, has_tls)
            started = []
            try:
                return _Start(self, plan, programs, started).run()
            except BaseException:
                say("stopping what was started")
                stop_all(reversed(started))
                if not self._is_running("origin-") and not self._is_running("database"):
                    self._stop_clusters()
                raise

    def down(self):
        """Stops everything that `up` started here and that still runs. Data stays."""
        if not self.directory.is_dir():
            raise Failure(f"no such directory: {self.directory}")
        with self._locked():
            # Edges first: their control connections would hold up the origins' drain. The database last.
            for prefix in ("edge-", "origin-", "database"):
                stop_all(Process.load(path) for path in self._records(prefix))
            self._stop_clusters()
            for path in self._records(""):
                path.unlink()

    # Places

    def path(self, *parts):
        """A path below the stack's folder, whose parent folder exists."""
        path = self.directory.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def record(self, name):
        return self.path("run", f"{name}.json")

    def log(self, name):
        return self.path("log", f"{name}.log")

    def _records(self, prefix):
        return sorted((self.directory / "run").glob(f"{prefix}*.json"))

    def _is_running(self, prefix):
        return any(process and process.is_alive for process in map(Process.load, self._records(prefix)))

    def origin_cluster(self, number):
        """The private PostgreSQL that an origin has unless it is given another."""
        return PrivateCluster(self.directory / f"origin-{number}" / "data" / "postgres")

    @property
    def shared_cluster(self):
        return PrivateCluster(self.directory / "database")

    def _stop_clusters(self):
        """Stops what is left of PostgreSQL: a killed program does not take its cluster with it."""
        for number in range(1, ORIGIN_COUNT_MAX + 1):
            self.origin_cluster(number).stop()
        self.shared_cluster.stop()

    @contextlib.contextmanager
    def _locked(self):
        with open(self.path("lock"), "w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say("waiting for another Scripts/stack on this directory")
                fcntl.flock(file, fcntl.LOCK_EX)
            yield


class Plan:
    """Shape and ports of a stack: chosen once, then kept, so that links, credentials and clients stay valid."""

    def __init__(self, path, values):
        self._path, self._values = path, values

    @classmethod
    def load_or_make(cls, path, edge_count, origin_count, database_url, has_tls):
        if path.exists():
            plan = cls(path, json.loads(path.read_text()))
            plan._adjust(edge_count, origin_count, database_url)
            if has_tls and not plan.has_tls:
                raise Failure("this directory has links and credentials of plain HTTP: use another one for --tls")
        else:
            plan = cls(path, {
                "edges": 2 if edge_count is None else edge_count,
                "origins": origin_count or 1, "database_url": database_url, "tls": has_tls,
                "ports": {},
            })
        plan._check()
        plan.save()
        return plan

    def save(self):
        write_private(self._path, json.dumps(self._values, indent=2) + "\n")

    def _adjust(self, edge_count, origin_count, database_url):
        values = self._values
        if edge_count is not None:
            values["edges"] = edge_count
        if database_url is not None:
            if values["database_url"] is None:
                raise Failure("this directory has a private database: use another directory for --database-url")
            values["database_url"] = database_url
        if origin_count is not None:
            if values["database_url"] is None and (origin_count == 1) != (values["origins"] == 1):
                raise Failure("one origin keeps database and blobs to itself, several share them: "
                              "use another directory to change between the two")
            values["origins"] = origin_count

    def _check(self):
        if not 0 <= self.edge_count <= EDGE_COUNT_MAX:
            raise Failure(f"--edges must be 0 to {EDGE_COUNT_MAX}")
        if not 1 <= self.origin_count <= ORIGIN_COUNT_MAX:
            raise Failure(f"--origins must be 1 to {ORIGIN_COUNT_MAX}")

    @property
    def edge_count(self):
        return self._values["edges"]

    @property
    def origin_count(self):
        return self._values["origins"]

    @property
    def database_url(self):
        return self._values["database_url"]

    @property
    def has_tls(self):
        return self._values.get("tls", False)

    @property
    def scheme(self):
        return "https" if self.has_tls else "http"

    @property
    def shares_storage(self):
        """Whether origins keep blobs and keys in a folder that all of them use."""
        return self.origin_count > 1

    def address(self, host, use):
        """`host:port` for this use, the same at every start."""
        ports = self._values["ports"]
        if use not in ports:
            ports[use] = free_port(host, set(ports.values()))
            self.save()
        return f"{host}:{ports[use]}"


class _Start:
    """One run of `up`."""

    def __init__(self, stack, plan, programs, started):
        self.stack, self.plan, self.programs, self.started = stack, plan, programs, started
        self.processes = {}
        self.authority = Authority(stack.path("tls")) if plan.has_tls else None

    def run(self):
        self._stop_surplus()
        database_url = self.plan.database_url
        if self.plan.shares_storage and database_url is None:
            database_url = self._database()
        first = self._origin(1, database_url)  # Alone, because it creates the schema and the first credentials.
        bootstrap = json.loads((self.stack.path("origin-1", "bootstrap.json")).read_text())
        origins = [first] + [self._origin(number, database_url) for number in range(2, self.plan.origin_count + 1)]
        edges = [self._edge(number, first, bootstrap) for number in range(1, self.plan.edge_count + 1)]
        self._wait_for_edges(origins, edges, bootstrap["admin_token"])
        description = {
            "origin": first["url"],
            "origins": origins,
            "origin_pid": first["pid"],
            "registry": f"{first['url'].partition('//')[2]}/{bootstrap['organization']}",
            "organization": bootstrap["organization"],
            "token": bootstrap["token"],
            "admin_token": bootstrap["admin_token"],
            "database_url": database_url or self.stack.origin_cluster(1).url,
            "edges": edges,
            "certificate_authority": str(self.authority.certificate) if self.authority else None,
        }
        write_private(self.stack.path("stack.json"), json.dumps(description, indent=2) + "\n")
        return description

    # Processes

    def _ensure(self, name, command, stdout=None):
        """The running process of this name, started if there is none; then `stdout` is a new file."""
        record = self.stack.record(name)
        process = Process.load(record)
        if process is None or not process.is_alive:
            say(f"starting {name}")
            if stdout:
                stdout.unlink(missing_ok=True)
            process = start(command, self.stack.log(name), stdout)
            self.started.append(process)
            process.save(record)
        self.processes[name] = process
        return process

    def _stop_surplus(self):
        """Stops survivors that are not part of the shape asked for now."""
        wanted = {f"edge-{number}" for number in range(1, self.plan.edge_count + 1)}
        wanted |= {f"origin-{number}" for number in range(1, self.plan.origin_count + 1)} | {"database"}
        for path in (self.stack.directory / "run").glob("*.json"):
            if path.stem not in wanted:
                stop_all([Process.load(path)])
                path.unlink()

    def _wait(self, name, what, condition, seconds=READY_SECONDS):
        return wait_until(f"{name} {what}", condition, seconds, self.processes[name], self.stack.log(name))

    def _database(self):
        """Runs the cluster that several origins share, and returns its URL."""
        announcement = self.stack.path("run", "database.stdout")
        command = [self.programs / "depot-origin", "database", "--dir", self.stack.directory / "database"]
        self._ensure("database", command, announcement)
        return self._wait("database", "is not ready", lambda: _announced_url(announcement))

    def _origin(self, number, database_url):
        name = f"origin-{number}"
        address = self.plan.address(ORIGIN_HOST, name)
        admin_url = "http://" + self.plan.address(ORIGIN_HOST, f"{name} admin")
        data = self.stack.path(name, "data")
        command = [
            self.programs / "depot-origin", "serve", "--data-directory", data, "--listen", address,
            "--admin-listen", admin_url.partition("//")[2],
            "--bootstrap-file", self.stack.path("origin-1", "bootstrap.json"),
        ]
        if database_url:
            command += ["--database-url", database_url]
        if self.plan.shares_storage:
            command += ["--blob-directory", self.stack.path("shared", "blobs")]
            command += ["--key-file", self.stack.path("shared", "key")]
        process = self._ensure(name, command + self._tls_options(name, ORIGIN_HOST))
        self._wait(name, "is not ready", lambda: http.is_ready(admin_url))
        if number == 1 and not self.stack.path("origin-1", "bootstrap.json").exists():
            raise Failure("the database belongs to another deployment: its tokens are not in this directory")
        return {
            "url": f"{self.plan.scheme}://{address}", "admin_url": admin_url, "pid": process.pid,
            "log": str(self.stack.log(name)),
        }

    def _tls_options(self, name, host):
        if self.authority is None:
            return []
        certificate, key = self.authority.certificate_for(name, f"IP:{host}")
        return ["--tls-certificate", certificate, "--tls-key", key]

    def _edge(self, number, origin, bootstrap):
        name = f"edge-{number}"
        host = f"127.0.0.{number + 1}"
        address = self.plan.address(host, name)
        admin_url = "http://" + self.plan.address(host, f"{name} admin")
        region = REGIONS[(number - 1) % len(REGIONS)]
        cache = self.stack.path(name, "cache")
        command = [
            self.programs / "depot-edge", "serve", "--cache-directory", cache,
            "--credential-file", self._credential(name, region, address, origin, bootstrap),
            "--listen", address, "--admin-listen", admin_url.partition("//")[2],
        ]
        if self.authority:
            command += ["--ca-file", self.authority.certificate]
        process = self._ensure(name, command + self._tls_options(name, host))
        credential = self.stack.path(name, "credential").read_text()
        return {
            "name": name, "id": _CREDENTIAL.search(credential)[1], "region": region,
            "url": f"{self.plan.scheme}://{address}", "admin_url": admin_url, "cache": str(cache),
            "log": str(self.stack.log(name)), "pid": process.pid,
        }

    def _credential(self, name, region, address, origin, bootstrap):
        """The file with the edge's join credential; made at the origin the first time."""
        path = self.stack.path(name, "credential")
        if not path.exists():
            environment = {key: value for key, value in os.environ.items() if key != "DEPOT_FAILPOINT"}
            environment.update(DEPOT_ADMIN_URL=origin["admin_url"], DEPOT_TOKEN=bootstrap["admin_token"])
            command = [self.programs / "depot-origin", "edge", "create", name, "--region", region]
            command += ["--url", f"{self.plan.scheme}://{address}"]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
            found = _CREDENTIAL.search(done.stdout)
            if done.returncode != 0 or not found:
                raise Failure(f"edge create {name} failed ({done.returncode}): {done.stderr.strip()}")
            write_private(path, found[0] + "\n")
        return path

    def _wait_for_edges(self, origins, edges, admin_token):
        """Until every edge serves and every origin sends clients to every edge."""
        for edge in edges:
            self._wait(edge["name"], "is not ready", lambda: http.is_ready(edge["admin_url"]))
        wanted = {edge["id"] for edge in edges}
        for origin in origins:
            def is_complete():
                listed = http.get_json(origin["admin_url"] + "/api/v1/edges", admin_token) or {"edges": []}
                return wanted <= {edge["id"] for edge in listed["edges"] if edge["in_rotation"]}
            wait_until(f"not every edge is in rotation at {origin['url']}", is_complete, READY_SECONDS)


def _announced_url(path):
    """What `depot-origin database` prints once it takes connections, or None."""
    try:
        return json.loads(path.read_text())["database_url"]
    except (FileNotFoundError, ValueError):
        return None
