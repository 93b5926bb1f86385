"""Auth, put together. Tests start it in their own process; `__main__` starts it for real."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import nats.errors
import nats.js.errors
from odeon.auth.v1 import auth_pb2, auth_pb2_grpc
from odeon.events.v1 import events_pb2
from odeon_runtime import subjects
from odeon_runtime.bus import Bus, envelope
from odeon_runtime.grpc_server import GrpcServer
from odeon_runtime.logs import logger
from odeon_runtime.sql import Database
from odeon_runtime.tasks import EternalTasks
from odeon_runtime.tokens import Verifier
from odeon_runtime.trust import TrustStore

from odeon_auth.adapters.keyring import Seal, SqlKeyRing
from odeon_auth.adapters.store import SqlStore
from odeon_auth.api.grpc import AuthServicer
from odeon_auth.domain.sessions import Session
from odeon_auth.domain.signing import SigningKey
from odeon_auth.settings import AuthSettings
from odeon_auth.usecases.context import utc_now
from odeon_auth.usecases.keys import Keys
from odeon_auth.usecases.tokens import Tokens
from odeon_auth.usecases.trust import Signer, TrustBoard

MIGRATIONS = Path(__file__).parent / "migrations"
SCHEMA = "auth"
_MIN_SEAL = 32
_log = logger(__name__)


@asynccontextmanager
async def start(settings: AuthSettings) -> AsyncIterator[Mapping[str, str]]:
    """Everything of auth; yields its addresses. Stops in reverse order."""
    async with AsyncExitStack() as stack:
        database = Database(settings.database, schema=SCHEMA)
        stack.push_async_callback(database.close)
        if database.is_sqlite:
            await database.migrate(MIGRATIONS)
        else:
            await database.require_schema(MIGRATIONS, "python -m odeon_auth migrate")
        bus = await stack.enter_async_context(Bus.of(settings, name="auth"))
        trust = TrustStore()
        servicer, board = await _assemble(settings, database, bus, trust)
        tasks = await stack.enter_async_context(EternalTasks())
        tasks.spawn("trust-keep-fresh", board.keep_fresh())
        if settings.nats_url:
            tasks.spawn("bus-streams", _make_streams(bus))
        server = GrpcServer(
            host=settings.grpc_host,
            port=settings.grpc_port,
            verifier=Verifier(trust),
            services=[
                (
                    auth_pb2_grpc.add_AuthServiceServicer_to_server,
                    servicer,
                    auth_pb2.DESCRIPTOR.services_by_name["AuthService"],
                )
            ],
            domain="auth.odeon.live",
        )
        await stack.enter_async_context(server)
        yield {"grpc": server.address}


async def _assemble(
    settings: AuthSettings, database: Database, bus: Bus, trust: TrustStore
) -> tuple[AuthServicer, TrustBoard]:
    store = SqlStore(database, utc_now)
    ring = SqlKeyRing(database, _seal(settings))

    def keys_distrusted(key_ids: list[str], successor: SigningKey) -> None:
        distrusted = events_pb2.SigningKeysDistrusted(key_ids=key_ids)
        bus.publish(
            subjects.fact("auth.signing-key.distrusted", subjects.NO_TENANT, successor.id),
            envelope(subjects.NO_TENANT, signing_keys_distrusted=distrusted),
        )

    board = TrustBoard(
        store,
        ring,
        utc_now,
        trust=trust,
        interval_s=settings.snapshot_interval_s,
        on_distrusted=keys_distrusted,
    )
    await board.start()

    def session_ended(session: Session) -> None:
        board.revoked(session)
        _publish(bus, session)

    keys = Keys(store, utc_now, session_ended)
    if secret := settings.bootstrap_key.get_secret_value():
        await keys.bootstrap(secret)
    tokens = Tokens(
        store,
        Signer(ring, board, utc_now),
        utc_now,
        service_secret=settings.service_secret,
        on_revoked=session_ended,
    )
    return AuthServicer(keys, tokens, board), board


async def _make_streams(bus: Bus) -> None:
    """Make NATS's streams, so that a revocation waits for nobody else to do it."""
    while True:
        try:
            await bus.ensure_streams()
            return
        except (nats.errors.Error, nats.js.errors.Error, TimeoutError, OSError) as error:
            _log.warning("streams_not_made", error=type(error).__name__)
            await asyncio.sleep(1)


async def migrate(settings: AuthSettings) -> None:
    """Bring the database up to date."""
    database = Database(settings.database, schema=SCHEMA)
    try:
        await database.migrate(MIGRATIONS)
    finally:
        await database.close()


def _seal(settings: AuthSettings) -> Seal | None:
    passphrase = settings.key_encryption_key.get_secret_value()
    if not passphrase:
        return None
    if len(passphrase) < _MIN_SEAL:
        raise SystemExit(f"ODEON_AUTH_KEY_ENCRYPTION_KEY needs {_MIN_SEAL} characters or more")
    return Seal(passphrase)


def _publish(bus: Bus, session: Session) -> None:
    revoked = events_pb2.SessionRevoked(session_id=session.id)
    revoked.expire_time.FromDatetime(session.expire_time)
    bus.publish(
        subjects.fact("auth.session.revoked", session.tenant, session.id),
        envelope(session.tenant, session_revoked=revoked),
    )
