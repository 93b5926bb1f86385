"""gRPC edge of auth: parse, call one use case, convert. Decides nothing."""

from collections.abc import AsyncIterator

from odeon.auth.v1 import auth_pb2 as pb
from odeon.auth.v1 import auth_pb2_grpc
from odeon_runtime.grpc_server import Context
from odeon_runtime.principal import current_principal

from odeon_auth.api import convert
from odeon_auth.usecases.keys import Keys
from odeon_auth.usecases.tokens import Tokens
from odeon_auth.usecases.trust import TrustBoard


class AuthServicer(auth_pb2_grpc.AuthServiceServicer):
    """Tenants, keys, tokens, trust. Refusals are raised by the domain."""

    def __init__(self, keys: Keys, tokens: Tokens, board: TrustBoard) -> None:
        self._keys = keys
        self._tokens = tokens
        self._board = board

    async def CreateTenant(
        self, request: pb.CreateTenantRequest, context: Context
    ) -> pb.CreateTenantResponse:
        """Create a tenant with its first API key. Refusals: TENANT_EXISTS, REQUEST_ID_REUSED."""
        made = await self._keys.create_tenant(
            current_principal(),
            tenant_id=request.tenant_id,
            display_name=request.display_name,
            request_id=request.request_id,
        )
        return pb.CreateTenantResponse(
            tenant=convert.tenant_to_proto(made.tenant),
            api_key=convert.key_to_proto(made.key),
            secret=made.secret,
        )

    async def GetTenant(
        self, request: pb.GetTenantRequest, context: Context
    ) -> pb.GetTenantResponse:
        """Read the caller's tenant. Refusals: TENANT_NOT_FOUND."""
        tenant = await self._keys.get_tenant(current_principal())
        return pb.GetTenantResponse(tenant=convert.tenant_to_proto(tenant))

    async def CreateApiKey(
        self, request: pb.CreateApiKeyRequest, context: Context
    ) -> pb.CreateApiKeyResponse:
        """Create an API key. Refusals: PERMISSION_DENIED, REQUEST_ID_REUSED."""
        made = await self._keys.create_key(
            current_principal(),
            display_name=request.display_name,
            role=request.role,
            request_id=request.request_id,
        )
        return pb.CreateApiKeyResponse(api_key=convert.key_to_proto(made.key), secret=made.secret)

    async def ListApiKeys(
        self, request: pb.ListApiKeysRequest, context: Context
    ) -> pb.ListApiKeysResponse:
        """List API keys, oldest first."""
        page, token = await self._keys.list_keys(
            current_principal(), size=request.page_size, token=request.page_token
        )
        return pb.ListApiKeysResponse(
            api_keys=[convert.key_to_proto(key) for key in page], next_page_token=token
        )

    async def RevokeApiKey(
        self, request: pb.RevokeApiKeyRequest, context: Context
    ) -> pb.RevokeApiKeyResponse:
        """Disable an API key. Refusals: API_KEY_NOT_FOUND."""
        key = await self._keys.revoke_key(current_principal(), request.name)
        return pb.RevokeApiKeyResponse(api_key=convert.key_to_proto(key))

    async def ExchangeApiKey(
        self, request: pb.ExchangeApiKeyRequest, context: Context
    ) -> pb.ExchangeApiKeyResponse:
        """Trade an API key for an access token. Refusals: API_KEY_INVALID."""
        issued = await self._tokens.exchange(request.secret)
        return pb.ExchangeApiKeyResponse(
            token=issued.token, expire_time=convert.timestamp(issued.expires_at)
        )

    async def IssueServiceToken(
        self, request: pb.IssueServiceTokenRequest, context: Context
    ) -> pb.IssueServiceTokenResponse:
        """Trade the service secret for a service token. Refusals: SERVICE_SECRET_INVALID."""
        issued = await self._tokens.issue_service(request.service, request.secret)
        return pb.IssueServiceTokenResponse(
            token=issued.token, expire_time=convert.timestamp(issued.expires_at)
        )

    async def IssueToken(
        self, request: pb.IssueTokenRequest, context: Context
    ) -> pb.IssueTokenResponse:
        """Issue a token. Refusals: PERMISSION_DENIED, SESSION_REVOKED, SESSION_MISMATCH."""
        issued = await self._tokens.issue(
            current_principal(), convert.wish_from_proto(request), tenant_id=request.tenant_id
        )
        return pb.IssueTokenResponse(
            token=issued.token,
            session_id=issued.session_id,
            expire_time=convert.timestamp(issued.expires_at),
        )

    async def RevokeSession(
        self, request: pb.RevokeSessionRequest, context: Context
    ) -> pb.RevokeSessionResponse:
        """End a session. Refusals: SESSION_NOT_FOUND."""
        await self._tokens.revoke(
            current_principal(), request.session_id, tenant_id=request.tenant_id
        )
        return pb.RevokeSessionResponse()

    async def RotateSigningKey(
        self, request: pb.RotateSigningKeyRequest, context: Context
    ) -> pb.RotateSigningKeyResponse:
        """Make a new signing key. Refusals: PERMISSION_DENIED."""
        made = await self._board.rotate(current_principal(), compromised=request.compromised)
        return pb.RotateSigningKeyResponse(key_id=made.id)

    async def GetJwks(self, request: pb.GetJwksRequest, context: Context) -> pb.GetJwksResponse:
        """Read the key set."""
        return pb.GetJwksResponse(jwks_json=self._board.jwks_json)

    async def WatchTrust(
        self, request: pb.WatchTrustRequest, context: Context
    ) -> AsyncIterator[pb.WatchTrustResponse]:
        """Follow keys and ended sessions. Refusals: PERMISSION_DENIED."""
        current_principal().require_alone()
        async for news in self._board.follow():
            yield convert.news_to_proto(news)
