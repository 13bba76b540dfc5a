"""TLS 1.3 both ways with self-signed certificates that are pinned, whatever the clocks say.

A certificate is valid from 1970 to 9999: a dead clock battery must stop nothing. What makes it
trusted is that a person paired the two nodes, after which each holds the other's certificate.
"""

from __future__ import annotations

import datetime as dt
import ssl
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sync.op import sha256


def make_certificate(node: bytes) -> tuple[bytes, bytes]:
    """A new key and self-signed certificate for a node: (private key as PEM, certificate as
    DER)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, node.hex())])
    builder = x509.CertificateBuilder(
        issuer_name=name,
        subject_name=name,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=dt.datetime(1970, 1, 1, tzinfo=dt.UTC),
        not_valid_after=dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC),
    ).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    certificate = builder.sign(key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return private, certificate.public_bytes(serialization.Encoding.DER)


def pin(certificate: bytes) -> bytes:
    """Fingerprint of a certificate in DER: what the other side remembers."""
    return sha256(certificate)


class _Handshake(ssl.SSLObject):
    """Tells somebody when a handshake is refused; asyncio itself drops it in silence."""

    def do_handshake(self) -> None:
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            note: Callable[[str], Any] | None = getattr(self.context, "note_refusal", None)
            if note is not None:
                note(error.reason or "handshake")
            raise


class PinnedContext(ssl.SSLContext):
    """An SSL context that trusts only the certificates it was given."""

    note_refusal: Callable[[str], Any] | None = None
    sslobject_class = _Handshake

    def trust(self, certificate: bytes) -> None:
        """Accept this certificate (DER) from now on."""
        self.load_verify_locations(cadata=certificate)


def pinned_context(
    *, server: bool, private_key: bytes, certificate: bytes, trusted: Iterable[bytes]
) -> PinnedContext:
    """Context of one side: its own key and certificate, and the certificates (DER) it accepts."""
    context = PinnedContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # names and addresses change; the certificate itself is pinned
    context.verify_mode = ssl.CERT_REQUIRED
    with tempfile.TemporaryDirectory() as folder:  # the ssl module reads keys from files only
        path = Path(folder) / "node.pem"
        path.touch(mode=0o600)
        pem = x509.load_der_x509_certificate(certificate).public_bytes(serialization.Encoding.PEM)
        path.write_bytes(private_key + pem)
        context.load_cert_chain(path)
    for der in trusted:
        context.trust(der)
    return context


def peer_certificate(ssl_object: Any) -> bytes:
    """DER bytes of the certificate that the other side has shown; empty if none."""
    return (ssl_object.getpeercert(binary_form=True) if ssl_object is not None else None) or b""
