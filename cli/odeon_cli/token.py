"""`odeon token`: credentials for programs and people of one event."""

from dataclasses import dataclass

from odeon.auth.v1 import auth_pb2

from odeon_cli.api import Api
from odeon_cli.console import console, emit
from odeon_cli.kinds import TokenKind
from odeon_cli.target import Target

_ISSUE = "odeon.auth.v1.AuthService/IssueToken"


_KINDS = {
    TokenKind.ACCESS: auth_pb2.TOKEN_KIND_ACCESS,
    TokenKind.INVITE: auth_pb2.TOKEN_KIND_INVITE,
    TokenKind.JOIN: auth_pb2.TOKEN_KIND_JOIN,
    TokenKind.PUBLISH: auth_pb2.TOKEN_KIND_PUBLISH,
    TokenKind.PLAYBACK: auth_pb2.TOKEN_KIND_PLAYBACK,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenOptions:
    """The command's options; see `odeon token --help`."""

    kind: TokenKind
    event: str
    identity: str
    name: str
    role: str
    ttl_s: int
    as_json: bool


async def issue_token(target: Target, options: TokenOptions) -> None:
    """Issue a token; the token alone goes to standard output, what it is for beside it."""
    event = options.event.removeprefix("events/")
    request = auth_pb2.IssueTokenRequest(
        kind=_KINDS[options.kind],
        event=f"events/{event}",
        identity=options.identity,
        display_name=options.name,
        role=options.role,
    )
    if options.ttl_s:
        request.ttl.FromSeconds(options.ttl_s)
    async with target.api() as api:
        answer = await api.call(_ISSUE, request, auth_pb2.IssueTokenResponse)
    addresses = _addresses(target, options.kind, event, answer.token)
    expires = answer.expire_time.ToJsonString()
    if options.as_json:
        emit(
            {
                "token": answer.token,
                "session": answer.session_id,
                "expires": expires,
                **addresses,
            }
        )
        return
    print(answer.token)
    notes = [f"session {answer.session_id}, good until {expires}", *addresses.values()]
    for note in notes:
        console().print(note, style="dim", markup=False, soft_wrap=True)


async def publish_token(api: Api, event: str, *, name: str) -> str:
    """A publish token for a publisher of its own."""
    request = auth_pb2.IssueTokenRequest(
        kind=auth_pb2.TOKEN_KIND_PUBLISH, event=f"events/{event}", display_name=name
    )
    return (await api.call(_ISSUE, request, auth_pb2.IssueTokenResponse)).token


def _addresses(target: Target, kind: TokenKind, event: str, token: str) -> dict[str, str]:
    if kind is TokenKind.PUBLISH:
        return {"whip_url": f"{target.url}/whip/{event}"}
    if kind is TokenKind.PLAYBACK:
        addresses = {"whep_url": f"{target.url}/whep/{event}"}
        if target.edge and target.tenant:
            path = f"{target.tenant}/{event}/main.m3u8"
            addresses["playlist_url"] = f"{target.edge}/t/{token}/{path}"
        return addresses
    return {}
