"""Tenants, API keys, sessions, signing keys."""

import sqlalchemy as sa
from alembic import op
from odeon_runtime.sql import UtcTime, guard_tenant

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "tenants",
        sa.Column("tenant_id", sa.String(63), primary_key=True),
        sa.Column("display_name", sa.Text, nullable=False),
        sa.Column("create_time", UtcTime, nullable=False),
    )
    op.create_table(
        "api_keys",
        sa.Column("tenant_id", sa.String(63), primary_key=True),
        sa.Column("key_id", sa.String(32), primary_key=True),
        sa.Column("secret_hash", sa.String(64), nullable=False),
        sa.Column("display_name", sa.Text, nullable=False),
        sa.Column("role", sa.String(32), nullable=False),
        sa.Column("create_time", UtcTime, nullable=False),
        sa.Column("revoke_time", UtcTime),
    )
    op.create_index("api_keys_by_id", "api_keys", ["key_id"], unique=True)
    op.create_table(
        "sessions",
        sa.Column("tenant_id", sa.String(63), primary_key=True),
        sa.Column("session_id", sa.String(40), primary_key=True),
        sa.Column("event_id", sa.String(63), nullable=False),
        sa.Column("identity", sa.String(64), nullable=False),
        sa.Column("role", sa.String(32), nullable=False),
        sa.Column("create_time", UtcTime, nullable=False),
        sa.Column("expire_time", UtcTime, nullable=False),
        sa.Column("revoke_time", UtcTime),
    )
    op.create_index("sessions_by_expiry", "sessions", ["expire_time"])
    op.create_index("sessions_revoked", "sessions", ["revoke_time"])
    op.create_table(
        "requests",
        sa.Column("tenant_id", sa.String(63), primary_key=True),
        sa.Column("method", sa.String(40), primary_key=True),
        sa.Column("request_id", sa.String(100), primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("resource", sa.Text, nullable=False),
        sa.Column("create_time", UtcTime, nullable=False),
    )
    op.create_table(
        "signing_keys",
        sa.Column("key_id", sa.String(64), primary_key=True),
        sa.Column("public_jwk", sa.Text, nullable=False),
        sa.Column("private_half", sa.Text, nullable=False),
        sa.Column("sealed", sa.Boolean, nullable=False),
        sa.Column("create_time", UtcTime, nullable=False),
        sa.Column("activate_time", UtcTime, nullable=False),
        sa.Column("retire_time", UtcTime),
    )
    for table in ("tenants", "api_keys", "sessions", "requests"):
        guard_tenant(op, table)


def downgrade() -> None:
    for table in ("signing_keys", "requests", "sessions", "api_keys", "tenants"):
        op.drop_table(table)
