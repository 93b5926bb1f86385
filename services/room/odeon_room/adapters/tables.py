"""Room's tables. Every one that holds tenants' data starts its primary key with the tenant."""

from odeon_runtime.sql import UtcTime
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

metadata = MetaData()
_SEQUENCE = BigInteger().with_variant(Integer, "sqlite")

rooms = Table(
    "rooms",
    metadata,
    Column("tenant_id", String(63), primary_key=True),
    Column("room_id", String(63), primary_key=True),
    Column("display_name", Text, nullable=False),
    Column("max_participants", Integer, nullable=False),
    Column("create_time", UtcTime, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("tenant_id", String(63), primary_key=True),
    Column("event_id", String(63), primary_key=True),
    Column("room_id", String(63), nullable=False),
    Column("title", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("create_time", UtcTime, nullable=False),
    Column("schedule_time", UtcTime),
    Column("start_time", UtcTime),
    Column("end_time", UtcTime),
    Column("layout_kind", String(32), nullable=False),
    Column("layout_focus", String(64), nullable=False),
    Column("layout_name_labels", Boolean, nullable=False),
    Column("profile", String(32), nullable=False),
    Column("waiting_room", Boolean, nullable=False),
    Column("expected_viewers", BigInteger, nullable=False),
    Column("node_id", String(63), nullable=False),
    Column("schedule_end_time", UtcTime),
    Column("registrations", BigInteger, nullable=False, server_default="0"),
    Index("events_by_state", "state", "tenant_id"),
    Index("events_by_room", "tenant_id", "room_id"),
    Index("events_by_end", "end_time"),
)

participants = Table(
    "participants",
    metadata,
    Column("tenant_id", String(63), primary_key=True),
    Column("event_id", String(63), primary_key=True),
    Column("identity", String(64), primary_key=True),
    Column("display_name", Text, nullable=False),
    Column("role", String(32), nullable=False),
    Column("state", String(16), nullable=False),
    Column("join_time", UtcTime, nullable=False),
    Column("session_id", String(40), nullable=False),
    Column("hidden", Boolean, nullable=False),
    Column("audio_muted", Boolean, nullable=False),
    Column("video_muted", Boolean, nullable=False),
    Column("admit_time", UtcTime),
    Column("banned", Boolean, nullable=False),
    Column("node_id", String(63), nullable=False),
)

jobs = Table(
    "jobs",
    metadata,
    Column("tenant_id", String(63), primary_key=True),
    Column("job_id", String(63), primary_key=True),
    Column("event_id", String(63), nullable=False),
    Column("state", String(16), nullable=False),
    Column("profile", String(32), nullable=False),
    Column("slots", Integer, nullable=False),
    Column("worker", String(100), nullable=False),
    Column("claim", BigInteger, nullable=False),
    Column("renewals", BigInteger, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("create_time", UtcTime, nullable=False),
    Column("offer_time", UtcTime, nullable=False),
    Column("finish_time", UtcTime),
    Column("status", Text, nullable=False),
    Index("jobs_by_id", "job_id", unique=True),
    Index("jobs_by_state", "state"),
    Index("jobs_by_event", "tenant_id", "event_id"),
)

followups = Table(
    "followups",
    metadata,
    Column("tenant_id", String(63), primary_key=True),
    Column("event_id", String(63), primary_key=True),
    Column("kind", String(32), primary_key=True),
    Column("create_time", UtcTime, nullable=False),
    Column("due_time", UtcTime, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("detail", Text, nullable=False),
    Index("followups_by_due", "due_time"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("sequence", _SEQUENCE, primary_key=True, autoincrement=True),
    Column("tenant_id", String(63), nullable=False),
    Column("subject", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

# Bookings of which something may have changed since it was told.
booking_changes = Table(
    "booking_changes",
    metadata,
    Column("sequence", _SEQUENCE, primary_key=True, autoincrement=True),
    Column("tenant_id", String(63), nullable=False),
    Column("event_id", String(63), nullable=False),
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
nodes = Table(
    "nodes",
    metadata,
    Column("node_id", String(63), primary_key=True),
    Column("grpc_address", Text, nullable=False),
    Column("media_addresses", Text, nullable=False),
    Column("sessions", Integer, nullable=False),
    Column("cpu_load", Float),
    Column("draining", Boolean, nullable=False),
    Column("cordoned", Boolean, nullable=False),
    Column("heartbeat_time", UtcTime, nullable=False),
    Column("beats", BigInteger, nullable=False),
    Column("probe_time", UtcTime),
    Column("probe_ok", Boolean, nullable=False),
    Column("probe_error", Text, nullable=False),
    Column("probe_failures", Integer, nullable=False),
)
