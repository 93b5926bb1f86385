"""Settings of the operator."""

import secrets
import socket

from odeon_runtime.settings import ServiceSettings
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from odeon_operator.domain.leadership import Terms


class OperatorSettings(ServiceSettings):
    """Environment variables ODEON_OPERATOR_*."""

    model_config = SettingsConfigDict(
        env_prefix="ODEON_OPERATOR_", frozen=True, extra="ignore", populate_by_name=True
    )

    watch_namespace: str = ""
    """The only namespace whose resources are looked at; empty: all."""
    lease_namespace: str = "default"
    """Where the Lease is; the operator's own namespace."""
    lease_name: str = "odeon-operator"
    """Operators of the same lease are one operator and its standbys."""
    identity: str = Field(default_factory=lambda: f"{socket.gethostname()}-{secrets.token_hex(4)}")
    """Under which the lease is held. In a cluster the pod's name, so that its container that is
    started again goes on at once; nobody else may have it."""
    lease_duration_s: float = 15.0
    """So long after the last renewal a standby waits."""
    lease_deadline_s: float = 10.0
    """So long the operator acts without being able to renew; below the duration."""
    lease_retry_s: float = 2.0
    """Between two renewals, or two attempts."""
    look_s: float = 5.0
    """Every pool is looked at this often although nothing happened: windows and bookings begin."""
    status_s: float = 5.0
    """Between two writes of a pool's status."""
    resync_s: float = 30.0
    """The whole cluster is read this often, whatever events say: bounds how wrong a watch that
    stalls in silence can make the picture."""

    runbook_url: str = "https://odeon.live/docs/operations/conditions"
    """What the messages of conditions point to; empty: nothing. docs/operations/conditions.md."""

    @property
    def terms(self) -> Terms:
        """Times of the lease."""
        return Terms(self.lease_duration_s, self.lease_deadline_s, self.lease_retry_s)
