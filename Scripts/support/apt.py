# SPDX-License-Identifier: Apache-2.0
"""apt-get that starts no daemon and removes nothing."""

import contextlib
import os
import pathlib
import shutil
import subprocess
import sys

from .console import Failure

# Package scripts ask this program before they start a service; 101 means "not allowed".
_POLICY = pathlib.Path("/usr/sbin/policy-rc.d")
_SAVED = _POLICY.with_name("policy-rc.d.depot-saved")
_REFUSE = "#!/bin/sh\n# Put here by Scripts/install-dependencies while it installs.\nexit 101\n"


def install(packages, units):
    """Installs packages, and leaves the units that came with them stopped and disabled."""
    as_root = _as_root(packages)
    fresh = [unit for unit in units if not _unit_exists(unit)]
    with _no_daemons(as_root):
        _run(as_root + ["apt-get", "update"], "apt-get update failed")
        _run(as_root + ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "--yes", "--no-remove",
                        "--no-install-recommends", *packages], "apt-get install failed")
    for unit in fresh:
        if shutil.which("systemctl") and _unit_exists(unit):
            subprocess.run(as_root + ["systemctl", "disable", "--quiet", unit], stdout=sys.stderr)


def _as_root(packages):
    if shutil.which("apt-get") is None:
        raise Failure("not Debian or Ubuntu: install what these packages bring: " + " ".join(packages))
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo"):
        return ["sudo"]
    raise Failure("these packages are missing, and installing them needs root or sudo:\n"
                  "  apt-get install --no-install-recommends " + " ".join(packages))


def _unit_exists(unit):
    return any((pathlib.Path(folder) / unit).exists() for folder in ("/lib/systemd/system", "/etc/systemd/system"))


@contextlib.contextmanager
def _no_daemons(as_root):
    """Forbids package scripts to start services; the machine's own policy is put back afterwards."""
    if _POLICY.exists() and _POLICY.read_text() != _REFUSE:
        _run(as_root + ["mv", _POLICY, _SAVED], f"cannot move {_POLICY}")
    subprocess.run(as_root + ["tee", _POLICY], input=_REFUSE, text=True, stdout=subprocess.DEVNULL, check=True)
    _run(as_root + ["chmod", "755", _POLICY], f"cannot write {_POLICY}")
    try:
        yield
    finally:
        if _SAVED.exists():
            _run(as_root + ["mv", _SAVED, _POLICY], f"cannot restore {_POLICY}")
        else:
            _run(as_root + ["rm", _POLICY], f"cannot remove {_POLICY}")


def _run(command, failure):
    if subprocess.run([str(word) for word in command], stdout=sys.stderr).returncode != 0:
        raise Failure(failure)
