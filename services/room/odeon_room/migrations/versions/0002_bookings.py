"""When events should end, how many registered, and which bookings are still to be told of."""

import sqlalchemy as sa
from alembic import op
from odeon_runtime.sql import UtcTime, guard_tenant

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("events", sa.Column("schedule_end_time", UtcTime))
    op.add_column(
        "events", sa.Column("registrations", sa.BigInteger, nullable=False, server_default="0")
    )
    op.create_index("events_by_end", "events", ["end_time"])
    op.create_table(
        "booking_changes",
        sa.Column(
            "sequence",
            sa.BigInteger().with_variant(sa.Integer, "sqlite"),
            primary_key=True,
            autoincrement=True,
        ),
        sa.Column("tenant_id", sa.String(63), nullable=False),
        sa.Column("event_id", sa.String(63), nullable=False),
    )
    guard_tenant(op, "booking_changes")
