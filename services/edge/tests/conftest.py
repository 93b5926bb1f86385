"""Fixtures: a real edge in front of a real origin, and tokens that it believes."""

import contextlib
import datetime
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from odeon_runtime.tokens import Audience
from odeon_testkit.edge import Edge, StartEdge, Ticket, running_edge
from odeon_testkit.issuer import Issuer
from odeon_testkit.origin import Origin
from odeon_testkit.origin import origin as running_origin


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def jwks(issuer: Issuer, tmp_path: Path) -> Path:
    file = tmp_path / "jwks.json"
    file.write_text(issuer.jwks_json)
    return file


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    async with running_origin() as server:
        yield server


@pytest.fixture
def start_edge(origin: Origin, jwks: Path) -> StartEdge:
    """Starts an edge with settings of the test's own."""

    def start(**settings: str) -> AbstractAsyncContextManager[Edge]:
        return running_edge(**{"ORIGIN": origin.url, "JWKS": str(jwks), **settings})

    return start


@pytest.fixture
async def edge(start_edge: StartEdge) -> AsyncIterator[Edge]:
    """An edge whose limits are no limit, so that tests meet them only on purpose."""
    async with contextlib.AsyncExitStack() as stack:
        yield await stack.enter_async_context(start_edge(VIEWER_RATE="0", VIEWER_CONCURRENCY="0"))


@pytest.fixture
def ticket(issuer: Issuer) -> Ticket:
    """Path of a file of an event, with a good token in it."""

    def make(
        path: str,
        *,
        sid: str = "viewer",
        tenant: str = "acme",
        event: str = "launch",
        ttl_s: int = 600,
    ) -> str:
        token = issuer.token(
            Audience.PLAYBACK,
            tenant=tenant,
            event=event,
            session_id=sid,
            role="viewer",
            ttl_s=ttl_s,
        )
        return f"/t/{token}/{tenant}/{event}/{path}"

    return make


def write_certificate(file: Path) -> None:
    """A new self-signed certificate and its key in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "edge.test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    secret = key.private_bytes(pem, pkcs8, serialization.NoEncryption())
    file.write_bytes(certificate.public_bytes(pem) + secret)


@pytest.fixture
def rewrite() -> Callable[[Path, str], None]:
    """Replaces a file as a rotation would."""

    def write(file: Path, text: str) -> None:
        file.write_text(text)

    return write


@pytest.fixture
def make_certificate() -> Callable[[Path], None]:
    return write_certificate


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    file = tmp_path / "tls.pem"
    write_certificate(file)
    return file


@pytest.fixture
def trusting() -> ssl.SSLContext:
    """A client context that believes any certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
