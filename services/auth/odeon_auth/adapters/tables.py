"""Auth's tables. Every one that holds tenants' data starts its primary key with the tenant."""

from odeon_runtime.sql import UtcTime
from sqlalchemy import Boolean, Column, Index, MetaData, String, Table, Text

metadata = MetaData()

tenants = Table(
    "tenants",
    metadata,
    Column("tenant_id", String(63), primary_key=True),
    Column("display_name", Text, nullable=False),
    Column("create_time", UtcTime, nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("tenant_id", String(63), primary_key=True),
    Column("key_id", String(32), primary_key=True),
    Column("secret_hash", String(64), nullable=False),
    Column("display_name", Text, nullable=False),
    Column("role", String(32), nullable=False),
    Column("create_time", UtcTime, nullable=False),
    Column("revoke_time", UtcTime),
    Index("api_keys_by_id", "key_id", unique=True),
)

sessions = Table(
    "sessions",
    metadata,
    Column("tenant_id", String(63), primary_key=True),
    Column("session_id", String(40), primary_key=True),
    Column("event_id", String(63), nullable=False),
    Column("identity", String(64), nullable=False),
    Column("role", String(32), nullable=False),
    Column("create_time", UtcTime, nullable=False),
    Column("expire_time", UtcTime, nullable=False),
    Column("revoke_time", UtcTime),
    Index("sessions_by_expiry", "expire_time"),
    Index("sessions_revoked", "revoke_time"),
)

requests = Table(
    "requests",
    metadata,
    Column("tenant_id", String(63), primary_key=True),
    Column("method", String(40), primary_key=True),
    Column("request_id", String(100), primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("resource", Text, nullable=False),
    Column("create_time", UtcTime, nullable=False),
)

# The deployment's own, of no tenant.
signing_keys = Table(
    "signing_keys",
    metadata,
    Column("key_id", String(64), primary_key=True),
    Column("public_jwk", Text, nullable=False),
    Column("private_half", Text, nullable=False),
    Column("sealed", Boolean, nullable=False),
    Column("create_time", UtcTime, nullable=False),
    Column("activate_time", UtcTime, nullable=False),
    Column("retire_time", UtcTime),
)
