"""Certificates for TLS on loopback, made by OpenSSL's own command as docs/cluster.md says it."""

from __future__ import annotations

import subprocess
from pathlib import Path  # noqa: TC003  # a named tuple resolves its annotations at run time
from typing import NamedTuple

__all__ = ["Certificates", "make_certificates"]


class Certificates(NamedTuple):
    """The files of one party: the authority that it trusts, its certificate and its key."""

    ca: Path
    cert: Path
    key: Path


def make_certificates(folder: Path) -> Certificates:
    """Make an authority and a certificate that it has signed."""
    folder.mkdir(parents=True, exist_ok=True)
    ca, ca_key = folder / "ca.pem", folder / "ca-key.pem"
    cert, key, request = folder / "cert.pem", folder / "key.pem", folder / "request.pem"
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    own = ("-x509", "-days", "2", "-subj", "/CN=batches", "-keyout", ca_key, "-out", ca)
    _openssl("req", *curve, *own)
    _openssl("req", *curve, "-subj", "/CN=machine", "-keyout", key, "-out", request)
    signer = ("-CA", ca, "-CAkey", ca_key, "-CAcreateserial")
    _openssl("x509", "-req", "-in", request, *signer, "-days", "2", "-out", cert)
    return Certificates(ca, cert, key)


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
