"""The webhook's own certificates: made, chosen and replaced. Pure.

Each certificate has an authority of its own, whose key signs nothing else and is kept nowhere: what the API server trusts can
never sign for somebody else. A new certificate is trusted for a while before it is used, and the old one for a while after
it was: whoever connects meanwhile trusts either, and two replicas that look at the same pairs use the same one.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY: Final = 86400.0
LIFE: Final = 90 * DAY
"""Seconds that a certificate is valid, as Let's Encrypt and cert-manager have it."""
RENEWAL: Final = 60 * DAY
"""Age in seconds at which it is replaced: a month is left in which that may fail."""
SETTLING: Final = 300.0
"""Seconds in which every API server learns whom to trust, and every replica which certificate is the newest one."""
SKEW: Final = 3600.0
"""Seconds that clocks may differ by: certificates are valid from so long before they are made."""
_NO_PAIR: Final = (
    ValueError, TypeError, x509.ExtensionNotFound, x509.DuplicateExtension, InvalidSignature, UnsupportedAlgorithm,
)  # fmt: skip


@dataclass(frozen=True)
class Pair:
    """A certificate in PEM, followed by the authority that signed it, and its key in PEM."""

    chain: bytes
    key: bytes

    @cached_property
    def _certificates(self) -> list[x509.Certificate]:
        return x509.load_pem_x509_certificates(self.chain)

    @property
    def made(self) -> float:
        """When, in seconds since 1970."""
        return self._certificates[0].not_valid_before_utc.timestamp() + SKEW

    @property
    def expires(self) -> datetime:
        """In UTC."""
        return self._certificates[0].not_valid_after_utc

    def is_valid(self, now: float) -> bool:
        """Whether it is, at a time."""
        return self.made - SKEW <= now < self.expires.timestamp()

    @property
    def authority(self) -> str:
        """Whom to trust, in PEM."""
        return self._certificates[-1].public_bytes(Encoding.PEM).decode("ascii")

    @property
    def names(self) -> frozenset[str]:
        """The DNS names and addresses that it is for."""
        found = self._certificates[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        addresses = found.get_values_for_type(x509.IPAddress)
        return frozenset((*found.get_values_for_type(x509.DNSName), *map(str, addresses)))


@dataclass(frozen=True, slots=True)
class Pairs:
    """What there is: the pair made last, and the one before it as long as somebody may need that."""

    newest: Pair | None = None
    previous: Pair | None = None

    @property
    def trusted(self) -> str:
        """The authorities of both, in PEM."""
        return "".join(pair.authority for pair in (self.newest, self.previous) if pair is not None)

    def in_use(self, trusted: str, now: float) -> Pair | None:
        """The pair to serve with at a time, if the API server trusts these authorities (PEM)."""
        newest, previous = self.newest, self.previous
        if newest is None or previous is None or not previous.is_valid(now):
            return newest
        return newest if now - newest.made >= SETTLING and newest.authority in trusted else previous

    def renewed(self, known: Pair | None, names: frozenset[str], now: float) -> Pairs:
        """What there should be at a time, for `names`. `known` is in use, though it may have been taken away."""
        newest, previous = self.newest, self.previous
        if newest is None or not newest.is_valid(now):  # as one made by a clock that was wrong
            return Pairs(make_pair(names, now), known)
        if not names <= newest.names or now - newest.made >= RENEWAL:
            return Pairs(make_pair(names, now), newest)
        if previous is not None and now - newest.made >= 2 * SETTLING:
            return Pairs(newest)
        return self


def read_pair(chain: bytes, key: bytes) -> Pair | None:
    """A pair as it was kept; None if it is none."""
    pair = Pair(chain, key)
    try:
        certificate, authority = pair._certificates
        certificate.verify_directly_issued_by(authority)
        is_pair = load_pem_private_key(key, None).public_key() == certificate.public_key()
        return pair if is_pair and pair.names else None
    except _NO_PAIR:
        return None


def make_pair(names: Iterable[str], now: float) -> Pair:
    """A new certificate for these names at a time, by an authority made for it."""

    def named(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    def builder(subject: x509.Name, public: ec.EllipticCurvePublicKey, is_authority: bool) -> x509.CertificateBuilder:
        made = datetime.fromtimestamp(now, UTC)
        usage = x509.KeyUsage(
            digital_signature=not is_authority, key_cert_sign=is_authority, crl_sign=False, content_commitment=False,
            key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        constraints = x509.BasicConstraints(is_authority, 0 if is_authority else None)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(made - timedelta(seconds=SKEW))
            .not_valid_after(made + timedelta(seconds=LIFE))
            .add_extension(constraints, critical=True)
            .add_extension(usage, critical=True)
        )

    signing, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    # Its own name each time: Go looks for a certificate's issuer by name, and two are trusted at a time.
    issuer = named(f"gray-gateway-injection {x509.random_serial_number():x}"[:64])
    authority = builder(issuer, signing.public_key(), True).sign(signing, SHA256())
    certificate = (
        builder(named("gray-gateway-injection"), own.public_key(), False)
        .add_extension(x509.SubjectAlternativeName([_general(name) for name in sorted(names)]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(signing, SHA256())
    )
    chain = certificate.public_bytes(Encoding.PEM) + authority.public_bytes(Encoding.PEM)
    return Pair(chain, own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
