"""How much one client may ask: per address, credential and tenant; typed refusals."""

import time

import limits
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from odeon_runtime.principal import Principal

from odeon_gateway.refusals import RateLimited
from odeon_gateway.settings import GatewaySettings


class Limits:
    """Counts calls in this process; each gateway counts for itself."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._address = limits.parse(settings.limit_address)
        self._credential = limits.parse(settings.limit_credential)
        self._tenant = limits.parse(settings.limit_tenant)
        self._failures = limits.parse(settings.limit_failures)
        self._stage = limits.parse(settings.limit_stage_messages)

    def address(self, address: str) -> None:
        """Count a request of a client address; also refuses one that keeps guessing."""
        self._hit(self._address, "address", address)
        if not self._limiter.test(self._failures, "failures", address):
            raise self._refusal(self._failures, "failures", address)

    def failure(self, address: str) -> None:
        """Count a credential that was refused."""
        self._limiter.hit(self._failures, "failures", address)

    def caller(self, principal: Principal) -> None:
        """Count a call of a credential and of its tenant."""
        tenant = principal.tenant or ""
        self._hit(self._credential, "credential", f"{tenant}/{principal.subject}")
        self._hit(self._tenant, "tenant", tenant)

    def stage_message(self, connection: str) -> None:
        """Count a message of one stage connection."""
        self._hit(self._stage, "stage", connection)

    def _hit(self, item: limits.RateLimitItem, scope: str, key: str) -> None:
        if not self._limiter.hit(item, scope, key):
            raise self._refusal(item, scope, key)

    def _refusal(self, item: limits.RateLimitItem, scope: str, key: str) -> RateLimited:
        window = self._limiter.get_window_stats(item, scope, key)
        wait = max(0.1, window.reset_time - time.time())
        return RateLimited("too many requests", retry_after_s=wait, scope=scope, limit=str(item))
