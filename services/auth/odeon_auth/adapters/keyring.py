"""Signing keys in the database. The private half is sealed when the settings hold a key for it."""

import base64
import json
import secrets
from collections.abc import Sequence
from datetime import datetime

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from joserfc.jwk import ECKey
from odeon_runtime.sql import EVERY_TENANT, Database
from sqlalchemy import RowMapping, delete, false, insert, or_, select, update

from odeon_auth.adapters.tables import signing_keys
from odeon_auth.domain import signing
from odeon_auth.domain.signing import SigningKey

_NONCE_BYTES = 12


class SealBroken(Exception):
    """A stored private key cannot be opened with the key in the settings."""


class Seal:
    """AES-256-GCM under a key derived from a passphrase of the settings."""

    def __init__(self, passphrase: str) -> None:
        derived = HKDF(SHA256(), 32, salt=None, info=b"odeon signing keys v1")
        self._cipher = AESGCM(derived.derive(passphrase.encode()))

    def close(self, text: str, key_id: str) -> str:
        """Seal `text`; it opens only together with `key_id`."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, text.encode(), key_id.encode())
        return base64.b64encode(sealed).decode()

    def open(self, sealed: str, key_id: str) -> str:
        """The text that was sealed; raises SealBroken."""
        raw = base64.b64decode(sealed)
        nonce, body = raw[:_NONCE_BYTES], raw[_NONCE_BYTES:]
        try:
            return self._cipher.decrypt(nonce, body, key_id.encode()).decode()
        except InvalidTag as error:
            raise SealBroken(f"signing key {key_id} was sealed under another key") from error


class SqlKeyRing:
    """Signing keys; implements `ports.KeyRing`."""

    def __init__(self, database: Database, seal: Seal | None) -> None:
        self._database = database
        self._seal = seal
        self._opened: dict[str, ECKey] = {}

    async def all(self) -> Sequence[SigningKey]:
        """Public facts of every key."""
        table = signing_keys.c
        query = select(
            table.key_id,
            table.public_jwk,
            table.create_time,
            table.activate_time,
            table.retire_time,
        )
        async with self._database.read(EVERY_TENANT) as tx:
            rows = (await tx.execute(query)).mappings().all()
        return [_to_key(row) for row in rows]

    async def private(self, key_id: str) -> ECKey:
        """The key pair itself; opened once, then kept in memory."""
        if key_id not in self._opened:
            query = select(signing_keys).where(signing_keys.c.key_id == key_id)
            async with self._database.read(EVERY_TENANT) as tx:
                row = (await tx.execute(query)).mappings().one()
            half = self._open(row["private_half"], key_id) if row["sealed"] else row["private_half"]
            self._opened[key_id] = ECKey.import_key(json.loads(half))
        return self._opened[key_id]

    async def create(self, now: datetime, *, compromised: bool = False) -> SigningKey:
        """Make a key pair and retire the ones before it; at once where they are `compromised`."""
        pair = ECKey.generate_key("P-256", {"alg": "ES256", "use": "sig"}, auto_kid=True)
        key_id = str(pair.kid)
        private_half = json.dumps(pair.as_dict(private=True))
        made = SigningKey(
            id=key_id,
            public_jwk=json.dumps(pair.as_dict(private=False)),
            create_time=now,
            activate_time=signing.activation([] if compromised else await self.all(), now),
        )
        values = {
            "key_id": key_id,
            "public_jwk": made.public_jwk,
            "private_half": self._seal.close(private_half, key_id) if self._seal else private_half,
            "sealed": self._seal is not None,
            "create_time": made.create_time,
            "activate_time": made.activate_time,
        }
        retire_time = signing.retirement(made.activate_time, compromised=compromised)
        # One that was replaced before keeps its time, unless it leaked with the others.
        replaced = (signing_keys.c.retire_time > now) if compromised else false()
        living = or_(signing_keys.c.retire_time.is_(None), replaced)
        async with self._database.write(EVERY_TENANT) as tx:
            await tx.execute(update(signing_keys).where(living).values(retire_time=retire_time))
            await tx.execute(insert(signing_keys).values(values))
        return made

    async def forget_retired(self, now: datetime) -> None:
        """Delete keys whose tokens are all gone."""
        async with self._database.write(EVERY_TENANT) as tx:
            await tx.execute(delete(signing_keys).where(signing_keys.c.retire_time <= now))

    def _open(self, sealed: str, key_id: str) -> str:
        if self._seal is None:
            raise SealBroken(
                f"signing key {key_id} is sealed: set ODEON_AUTH_KEY_ENCRYPTION_KEY as it was"
            )
        return self._seal.open(sealed, key_id)


def _to_key(row: RowMapping) -> SigningKey:
    return SigningKey(
        id=row["key_id"],
        public_jwk=row["public_jwk"],
        create_time=row["create_time"],
        activate_time=row["activate_time"],
        retire_time=row["retire_time"],
    )
