# SPDX-License-Identifier: Apache-2.0
"""A certificate authority of a stack's own, by openssl(1).

  ca.pem, ca.key          the authority
  NAME.pem, NAME.key      certificate and key of one program
  openssl.cnf             what both kinds of certificates are; the tests make further ones with it
"""

import os
import shutil
import subprocess

from .console import Failure

DAYS = 3650

_CONFIGURATION = """\
[req]
distinguished_name = subject
prompt = no

[subject]
CN = depot-stack

[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash

[node]
basicConstraints = CA:FALSE
keyUsage = digitalSignature
extendedKeyUsage = serverAuth
"""


class Authority:
    """The authority in `directory`, made at the first need."""

    def __init__(self, directory):
        self._directory = directory
        self.certificate = directory / "ca.pem"

    def certificate_for(self, name, *subjects):
        """Paths of certificate and key of a program, made unless they are there.

        Each of `subjects` is `IP:127.0.0.1` or `DNS:registry.example.com`.
        """
        certificate, key = self._directory / f"{name}.pem", self._directory / f"{name}.key"
        if not certificate.exists():
            self._prepare()
            self._make(
                certificate, key, "node", "-CA", self.certificate, "-CAkey", self._directory / "ca.key",
                "-subj", f"/CN={name}", "-addext", "subjectAltName=" + ",".join(subjects))
        return certificate, key

    def _prepare(self):
        if self.certificate.exists():
            return
        if shutil.which("openssl") is None:
            raise Failure("--tls needs openssl")
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self._directory / "openssl.cnf").write_text(_CONFIGURATION)
        self._make(self.certificate, self._directory / "ca.key", "authority")

    def _make(self, certificate, key, extensions, *options):
        # The certificate comes last and whole: it says that both are there.
        new = certificate.with_name(certificate.name + ".new")
        command = ["openssl", "req", "-config", self._directory / "openssl.cnf", "-x509", "-extensions", extensions,
                   "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", str(DAYS),
                   "-keyout", key, "-out", new, *options]
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise Failure(f"openssl makes no {certificate.name}: {done.stderr.strip()}")
        os.replace(new, certificate)
