"""Rooms, events, participants, jobs, nodes, and what is still to be told and done."""

import sqlalchemy as sa
from alembic import op
from odeon_runtime.sql import UtcTime, guard_tenant

revision = "0001"
down_revision = None


def upgrade() -> None:
    create_rooms()
    create_events()
    create_participants()
    create_jobs()
    create_followups()
    create_outbox()
    create_requests()
    create_nodes()
    for table in ("rooms", "events", "participants", "jobs", "followups", "outbox", "requests"):
        guard_tenant(op, table)


def create_rooms() -> None:
    op.create_table(
        "rooms",
        sa.Column("tenant_id", sa.String(63), primary_key=True),
        sa.Column("room_id", sa.String(63), primary_key=True),
        sa.Column("display_name", sa.Text, nullable=False),
        sa.Column("max_participants", sa.Integer, nullable=False),
        sa.Column("create_time", UtcTime, nullable=False),
    )


def create_events() -> None:
    op.create_table(
        "events",
        sa.Column("tenant_id", sa.String(63), primary_key=True),
        sa.Column("event_id", sa.String(63), primary_key=True),
        sa.Column("room_id", sa.String(63), nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("create_time", UtcTime, nullable=False),
        sa.Column("schedule_time", UtcTime),
        sa.Column("start_time", UtcTime),
        sa.Column("end_time", UtcTime),
        sa.Column("layout_kind", sa.String(32), nullable=False),
        sa.Column("layout_focus", sa.String(64), nullable=False),
        sa.Column("layout_name_labels", sa.Boolean, nullable=False),
        sa.Column("profile", sa.String(32), nullable=False),
        sa.Column("waiting_room", sa.Boolean, nullable=False),
        sa.Column("expected_viewers", sa.BigInteger, nullable=False),
        sa.Column("node_id", sa.String(63), nullable=False),
    )
    op.create_index("events_by_state", "events", ["state", "tenant_id"])
    op.create_index("events_by_room", "events", ["tenant_id", "room_id"])


def create_participants() -> None:
    op.create_table(
        "participants",
        sa.Column("tenant_id", sa.String(63), primary_key=True),
        sa.Column("event_id", sa.String(63), primary_key=True),
        sa.Column("identity", sa.String(64), primary_key=True),
        sa.Column("display_name", sa.Text, nullable=False),
        sa.Column("role", sa.String(32), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("join_time", UtcTime, nullable=False),
        sa.Column("session_id", sa.String(40), nullable=False),
        sa.Column("hidden", sa.Boolean, nullable=False),
        sa.Column("audio_muted", sa.Boolean, nullable=False),
        sa.Column("video_muted", sa.Boolean, nullable=False),
        sa.Column("admit_time", UtcTime),
        sa.Column("banned", sa.Boolean, nullable=False),
        sa.Column("node_id", sa.String(63), nullable=False),
    )


def create_jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("tenant_id", sa.String(63), primary_key=True),
        sa.Column("job_id", sa.String(63), primary_key=True),
        sa.Column("event_id", sa.String(63), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("profile", sa.String(32), nullable=False),
        sa.Column("slots", sa.Integer, nullable=False),
        sa.Column("worker", sa.String(100), nullable=False),
        sa.Column("claim", sa.BigInteger, nullable=False),
        sa.Column("renewals", sa.BigInteger, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("create_time", UtcTime, nullable=False),
        sa.Column("offer_time", UtcTime, nullable=False),
        sa.Column("finish_time", UtcTime),
        sa.Column("status", sa.Text, nullable=False),
    )
    op.create_index("jobs_by_id", "jobs", ["job_id"], unique=True)
    op.create_index("jobs_by_state", "jobs", ["state"])
    op.create_index("jobs_by_event", "jobs", ["tenant_id", "event_id"])


def create_followups() -> None:
    op.create_table(
        "followups",
        sa.Column("tenant_id", sa.String(63), primary_key=True),
        sa.Column("event_id", sa.String(63), primary_key=True),
        sa.Column("kind", sa.String(32), primary_key=True),
        sa.Column("create_time", UtcTime, nullable=False),
        sa.Column("due_time", UtcTime, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
    )
    op.create_index("followups_by_due", "followups", ["due_time"])


def create_outbox() -> None:
    sequence = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "outbox",
        sa.Column("sequence", sequence, primary_key=True, autoincrement=True),
        sa.Column("tenant_id", sa.String(63), nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )


def create_requests() -> None:
    op.create_table(
        "requests",
        sa.Column("tenant_id", sa.String(63), primary_key=True),
        sa.Column("method", sa.String(40), primary_key=True),
        sa.Column("request_id", sa.String(100), primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("resource", sa.Text, nullable=False),
        sa.Column("create_time", UtcTime, nullable=False),
    )


def create_nodes() -> None:
    op.create_table(
        "nodes",
        sa.Column("node_id", sa.String(63), primary_key=True),
        sa.Column("grpc_address", sa.Text, nullable=False),
        sa.Column("media_addresses", sa.Text, nullable=False),
        sa.Column("sessions", sa.Integer, nullable=False),
        sa.Column("cpu_load", sa.Float),
        sa.Column("draining", sa.Boolean, nullable=False),
        sa.Column("heartbeat_time", UtcTime, nullable=False),
        sa.Column("beats", sa.BigInteger, nullable=False),
        sa.Column("probe_time", UtcTime),
        sa.Column("probe_ok", sa.Boolean, nullable=False),
        sa.Column("probe_error", sa.Text, nullable=False),
        sa.Column("probe_failures", sa.Integer, nullable=False),
    )


def downgrade() -> None:
    for table in (
        "nodes",
        "requests",
        "outbox",
        "followups",
        "jobs",
        "participants",
        "events",
        "rooms",
    ):
        op.drop_table(table)
