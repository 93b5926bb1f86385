"""WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep): media in and out by one POST each."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import wraps
from typing import TypeVar

import grpc
from odeon.signaling.v1 import signaling_pb2
from odeon.signaling.v1.signaling_pb2_grpc import SignalingServiceStub
from odeon_runtime.errors import InvalidArgument, NotFound, Unauthenticated
from odeon_runtime.grpc_client import Peers
from odeon_runtime.ids import EventId, NodeId, SessionId
from odeon_runtime.principal import Principal
from odeon_runtime.tokens import Audience
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from odeon_gateway.credentials import Credentials, bearer, is_guess
from odeon_gateway.domain.audience import require_watchable
from odeon_gateway.limits import Limits
from odeon_gateway.placement import NodeGone, Placement
from odeon_gateway.refusals import (
    IfMatchRequired,
    MethodNotAllowed,
    UnsupportedMediaType,
    refuse,
)
from odeon_gateway.requests import body_of, client_address
from odeon_gateway.settings import GatewaySettings

_SDP = "application/sdp"
_FRAGMENT = "application/trickle-ice-sdpfrag"
_CALL_S = 5.0

Endpoint = Callable[[Request], Awaitable[Response]]
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class _Caller:
    principal: Principal
    token: str


class MediaEndpoints:
    """Routes /whip/… and /whep/…; the node that a session lives on is part of its URL."""

    def __init__(
        self,
        credentials: Credentials,
        limits: Limits,
        placement: Placement,
        peers: Peers,
        settings: GatewaySettings,
    ) -> None:
        self._credentials = credentials
        self._limits = limits
        self._placement = placement
        self._peers = peers
        self._settings = settings

    def routes(self) -> list[Route]:
        """Endpoint and resource of both protocols."""
        made = []
        for base, audience in (("whip", Audience.PUBLISH), ("whep", Audience.PLAYBACK)):
            made += [
                Route(f"/{base}/{{event}}", _guarded(self._endpoint(audience)), methods=_ANY),
                Route(
                    f"/{base}/{{event}}/{{node}}/{{session}}",
                    _guarded(self._resource(audience)),
                    methods=_ANY,
                ),
            ]
        return made

    def _endpoint(self, audience: Audience) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            if request.method == "OPTIONS":
                return Response(status_code=204, headers={"accept-post": _SDP, **self._links()})
            if request.method != "POST":
                raise MethodNotAllowed("media starts with a POST")
            return await self._start(request, audience)

        return endpoint

    def _resource(self, audience: Audience) -> Endpoint:
        async def resource(request: Request) -> Response:
            if request.method == "OPTIONS":
                return Response(status_code=204, headers={"accept-patch": _FRAGMENT})
            if request.method == "PATCH":
                return await self._patch(request, audience)
            if request.method == "DELETE":
                return await self._delete(request, audience)
            raise MethodNotAllowed("a session takes PATCH and DELETE")

        return resource

    async def _start(self, request: Request, audience: Audience) -> Response:
        caller = await self._caller(request, audience)
        _require_type(request, _SDP)
        event = _event(request, caller.principal)
        offer = await self._text(request)
        place = await self._placement.place(caller.principal.require_tenant(), event)
        node = self._peers.signaling(place.address)
        answer: signaling_pb2.PublishResponse | signaling_pb2.PlayResponse
        if audience is Audience.PUBLISH:
            answer = await node.Publish(
                signaling_pb2.PublishRequest(
                    token=caller.token, event=event.resource_name, sdp_offer=offer
                ),
                timeout=_CALL_S,
            )
        else:
            require_watchable(place.state, caller.principal.role)
            answer = await node.Play(
                signaling_pb2.PlayRequest(
                    token=caller.token, event=event.resource_name, sdp_offer=offer
                ),
                timeout=_CALL_S,
            )
        headers = {
            "location": f"{request.url.path.rstrip('/')}/{place.node}/{answer.session_id}",
            "etag": f'"{answer.etag}"',
            "accept-patch": _FRAGMENT,
            "cache-control": "no-store",
            **self._links(),
        }
        return Response(answer.sdp_answer, 201, media_type=_SDP, headers=headers)

    async def _patch(self, request: Request, audience: Audience) -> Response:
        caller = await self._caller(request, audience)
        _require_type(request, _FRAGMENT)
        fragment = await self._text(request)
        if_match = request.headers.get("if-match", "")
        if not if_match and "a=ice-ufrag:" not in fragment:
            raise IfMatchRequired("say by If-Match for which ICE session this is")
        answer = await self._on_node(
            request,
            lambda node, session: node.PatchSession(
                signaling_pb2.PatchSessionRequest(
                    token=caller.token,
                    session_id=session,
                    sdp_fragment=fragment,
                    if_match=if_match,
                ),
                timeout=_CALL_S,
            ),
        )
        if not answer.sdp_fragment:
            return Response(status_code=204)
        return Response(
            answer.sdp_fragment, media_type=_FRAGMENT, headers={"etag": f'"{answer.etag}"'}
        )

    async def _delete(self, request: Request, audience: Audience) -> Response:
        caller = await self._caller(request, audience)
        await self._on_node(
            request,
            lambda node, session: node.CloseSession(
                signaling_pb2.CloseSessionRequest(token=caller.token, session_id=session),
                timeout=_CALL_S,
            ),
        )
        return Response(status_code=200)

    async def _on_node(
        self, request: Request, call: Callable[[SignalingServiceStub, str], Awaitable[_Answer]]
    ) -> _Answer:
        try:
            name = NodeId.parse(request.path_params["node"])
            session = SessionId.parse(request.path_params["session"])
        except InvalidArgument:
            raise NodeGone("no such session") from None
        address = await self._placement.address_of(name)
        try:
            return await call(self._peers.signaling(address), session)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
            # Sessions live and die with their node: one that is not there has none.
            self._placement.forget(name)
            raise NodeGone("no such session", node=name) from error

    async def _caller(self, request: Request, audience: Audience) -> _Caller:
        address = client_address(request, self._settings.trusted_proxies)
        self._limits.address(address)
        try:
            token = bearer(request.headers.get("authorization", ""))
            if not token:
                raise Unauthenticated("a Bearer token is needed")
            principal = await self._credentials.verify(token, audience)
        except Exception as error:
            if is_guess(error):
                self._limits.failure(address)
            raise
        self._limits.caller(principal)
        return _Caller(principal, token)

    async def _text(self, request: Request) -> str:
        body = await body_of(request, self._settings.max_sdp_bytes)
        try:
            return body.decode()
        except UnicodeDecodeError:
            raise UnsupportedMediaType("SDP is UTF-8 text") from None

    def _links(self) -> dict[str, str]:
        servers = [f'<{url}>; rel="ice-server"' for url in self._settings.ice_servers]
        return {"link": ", ".join(servers)} if servers else {}


_ANY = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def _guarded(endpoint: Endpoint) -> Endpoint:
    @wraps(endpoint)
    async def run(request: Request) -> Response:
        try:
            return await endpoint(request)
        except Exception as error:
            return refuse(error)

    return run


def _event(request: Request, principal: Principal) -> EventId:
    event = EventId.parse(request.path_params["event"])
    if principal.event != event:
        raise NotFound("no such event", event=event)
    return event


def _require_type(request: Request, wanted: str) -> None:
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != wanted:
        raise UnsupportedMediaType(f"must be {wanted}", given=given[:80])
