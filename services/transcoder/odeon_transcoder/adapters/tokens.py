"""Service tokens for uploads, from auth."""

from odeon_runtime.errors import DomainError
from odeon_runtime.grpc_client import ServiceToken

from odeon_transcoder.ports import Unreachable


class ServiceTokens:
    """Implements `ports.Tokens`."""

    def __init__(self, token: ServiceToken) -> None:
        self._token = token

    async def get(self) -> str:
        """A token that is good for some minutes."""
        try:
            return await self._token.get()
        except DomainError as error:
            raise Unreachable(error.reason) from error
