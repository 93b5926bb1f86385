"""API keys: "odk_<keyid>_<secret>". Only a hash of the secret is kept.

The secret is 256 random bits, so a fast hash is right: there is nothing to guess that a slow one
would make dearer, and each call of a customer's server would pay for it.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import datetime

from odeon_runtime.errors import DomainError, InvalidArgument, Kind, NotFound

from odeon_auth.domain.roles import Role

_FORM = re.compile(r"odk_([a-z0-9]{8,32})_([A-Za-z0-9_-]{32,128})")
_NO_HASH = hashlib.sha256(b"no such key").hexdigest()


class ApiKeyInvalid(DomainError):
    """Not an API key of this deployment, or a revoked one; says no more than that."""

    kind = Kind.UNAUTHENTICATED
    reason = "API_KEY_INVALID"


class ApiKeyNotFound(NotFound):
    """No such key in the caller's tenant."""

    reason = "API_KEY_NOT_FOUND"


@dataclass(frozen=True, slots=True)
class Credential:
    """The two halves of a key as a customer holds it."""

    key_id: str
    secret: str

    @classmethod
    def parse(cls, text: str) -> "Credential":
        """Take a key apart; raises ApiKeyInvalid."""
        match = _FORM.fullmatch(text)
        if match is None:
            raise ApiKeyInvalid("not a valid API key")
        return cls(match[1], match[2])

    def __str__(self) -> str:
        """The key as it is shown, once."""
        return f"odk_{self.key_id}_{self.secret}"

    def __repr__(self) -> str:
        """Without the secret."""
        return f"Credential({self.key_id})"

    @property
    def hash(self) -> str:
        """What is kept of it."""
        return hashlib.sha256(self.secret.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A tenant's long-lived credential, without its secret."""

    tenant: str
    id: str
    secret_hash: str
    display_name: str
    role: Role
    create_time: datetime
    revoke_time: datetime | None = None

    @property
    def session_id(self) -> str:
        """The session of every access token it was traded for: revoking the key ends them."""
        return f"key-{self.id}"


def authenticate(credential: Credential, key: ApiKey | None) -> ApiKey:
    """The key, if the credential proves it; takes the same time whether or not it exists.

    Raises:
        ApiKeyInvalid: unknown, wrong secret or revoked.
    """
    expected = key.secret_hash if key else _NO_HASH
    proven = hmac.compare_digest(credential.hash, expected)
    if key is None or not proven or key.revoke_time is not None:
        raise ApiKeyInvalid("not a valid API key")
    return key


def key_id_of(name: str) -> str:
    """The id in "apiKeys/{key}"."""
    collection, _, key_id = name.partition("/")
    if collection != "apiKeys" or not re.fullmatch(r"[a-z0-9]{8,32}", key_id):
        raise InvalidArgument(field="name", problem="must look like apiKeys/{id}")
    return key_id
