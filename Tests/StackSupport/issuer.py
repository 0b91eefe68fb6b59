#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An OpenID Connect issuer on the loopback for tests, with nothing of the registry's code in it.

Keys and signatures are made by the openssl command. The first line of the output is the issuer's URL. What CI systems
serve is below /.well-known and at /keys; what tests ask for is below /test:

  POST /test/sign?kid=KID&alg=ALG   signs the claims of the body; answers with the token
  POST /test/rotate                 takes every key id out of the set and puts it back with `-new` behind it
  GET  /test/fetches                how often /keys was asked for
  POST /test/fail?status=STATUS     answers everything but /test with this status; 200 ends it
"""

import base64
import http.server
import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.parse

KINDS = {
    "rsa": ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    "rsa-1024": ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"],
    "p256": ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "p384": ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
    "ed25519": ["genpkey", "-algorithm", "ED25519"],
}
PSS = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"]
DIGEST_OPTIONS = {
    "RS256": ["-sha256"], "RS384": ["-sha384"], "RS512": ["-sha512"], "PS256": ["-sha256"] + PSS,
    "ES256": ["-sha256"], "ES384": ["-sha384"],
}
COORDINATE_BYTES = {"ES256": 32, "ES384": 48}


def openssl(*arguments, stdin=b""):
    return subprocess.run(("openssl",) + arguments, input=stdin, capture_output=True, check=True).stdout


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Keys:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        for kind, command in KINDS.items():
            openssl(*command, "-out", str(self.file(kind)))
        # RSA-1024 is there for who must not take it.
        self.kinds = {kind: kind for kind in KINDS}

    def file(self, kind):
        return self.folder / f"{kind}.pem"

    def rotate(self):
        self.kinds = {f"{key_id}-new": kind for key_id, kind in self.kinds.items()}

    def document(self):
        return {"keys": [self.public(key_id, kind) for key_id, kind in self.kinds.items()]}

    def public(self, key_id, kind):
        key = {"kid": key_id, "use": "sig"}
        der = openssl("pkey", "-in", str(self.file(kind)), "-pubout", "-outform", "DER")
        if kind.startswith("rsa"):
            text = openssl("rsa", "-in", str(self.file(kind)), "-noout", "-modulus").decode()
            modulus = bytes.fromhex(text.strip().partition("=")[2])
            return key | {"kty": "RSA", "n": base64url(modulus), "e": base64url(b"\x01\x00\x01")}
        if kind == "ed25519":
            return key | {"kty": "OKP", "crv": "Ed25519", "x": base64url(der[-32:])}
        size = 32 if kind == "p256" else 48
        point = der[-2 * size:]
        curve = {"p256": "P-256", "p384": "P-384"}[kind]
        return key | {"kty": "EC", "crv": curve, "x": base64url(point[:size]), "y": base64url(point[size:])}

    def sign(self, key_id, algorithm, claims):
        header = {"typ": "JWT", "alg": algorithm, "kid": key_id, "x5t": key_id}
        message = f"{base64url(json.dumps(header).encode())}.{base64url(claims)}"
        path = str(self.file(key_id.removesuffix("-new")))
        if algorithm == "EdDSA":
            source = self.folder / f"message-{threading.get_ident()}"
            source.write_bytes(message.encode())
            signature = openssl("pkeyutl", "-sign", "-rawin", "-inkey", path, "-in", str(source))
        else:
            signature = openssl("dgst", *DIGEST_OPTIONS[algorithm], "-sign", path, stdin=message.encode())
        if algorithm in COORDINATE_BYTES:
            signature = b"".join(number.rjust(COORDINATE_BYTES[algorithm], b"\0") for number in integers(signature))
        return f"{message}.{base64url(signature)}"


def integers(der):
    """The two numbers of an ECDSA signature in DER, without leading zeros."""
    numbers, position = [], 2 if der[1] < 0x80 else 3
    for _ in range(2):
        size = der[position + 1]
        numbers.append(der[position + 2:position + 2 + size].lstrip(b"\0"))
        position += 2 + size
    return numbers


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server, path = self.server, urllib.parse.urlsplit(self.path).path
        if path == "/test/fetches":
            return self.answer(str(server.fetch_count))
        if path == "/keys":
            server.fetch_count += 1
        if server.status != 200:
            return self.answer("away", server.status)
        if path == "/.well-known/openid-configuration":
            return self.answer_json({"issuer": server.url, "jwks_uri": f"{server.url}/keys"})
        if path == "/keys":
            return self.answer_json(server.keys.document())
        return self.answer("there is no such thing", 404)

    def do_POST(self):
        server, target = self.server, urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(target.query))
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if target.path == "/test/sign":
            return self.answer(server.keys.sign(query["kid"], query["alg"], body))
        if target.path == "/test/rotate":
            server.keys.rotate()
            return self.answer("rotated")
        if target.path == "/test/fail":
            server.status = int(query["status"])
            return self.answer("as you wish")
        return self.answer("there is no such thing", 404)

    def answer_json(self, value):
        self.answer(json.dumps(value), media_type="application/json")

    def answer(self, text, status=200, media_type="text/plain"):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def main():
    # An exit, so that the folder with the keys goes away.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with tempfile.TemporaryDirectory() as folder:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.url = f"http://127.0.0.1:{server.server_port}"
        server.keys = Keys(folder)
        server.fetch_count = 0
        server.status = 200
        sys.stdout.write(server.url + "\n")
        sys.stdout.flush()
        server.serve_forever()


if __name__ == "__main__":
    main()
