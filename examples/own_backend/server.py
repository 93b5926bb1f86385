#!/usr/bin/env python3
"""A site with users of its own, whose server lets them into an event.

The API key stays here. A signed-in user gets a personal entry: a playlist with a playback token,
and for guests a token that joins the stage. Signing out revokes the session that all of them
belong to, so the picture stops within five seconds.
"""

import argparse
import contextlib
import os
import secrets
import ssl
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FILES = {
    "/": HERE / "index.html",
    "/player.js": HERE.parent / "embed_player" / "player.js",
    "/hls.min.js": ROOT / "web/node_modules/hls.js/dist/hls.min.js",
}
COOKIE = "session"
Json: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class User:
    """Somebody your site knows. Roles: see docs/operations/auth.md."""

    id: str
    name: str
    role: str = "viewer"


USERS = {user.id: user for user in (User("ada", "Ada", "guest"), User("bob", "Bob"))}
"""Stands for your own directory; here nobody needs a password."""


class Odeon:
    """The calls that this site makes, for one event."""

    def __init__(self, http: httpx.AsyncClient, api_key: str, event: str) -> None:
        self._http = http
        self._api_key = api_key
        self.event = event

    async def enter(self, user: User) -> Json:
        """A personal entry: tokens and addresses for what the user's role may do.

        Raises:
            httpx.HTTPError: refused, or nobody answered.
        """
        name = f"events/{self.event}"
        invite = await self._call(
            "auth.v1.AuthService/IssueToken",
            kind="TOKEN_KIND_INVITE",
            event=name,
            identity=user.id,
            displayName=user.name,
            role=user.role,
            ttl="60s",  # it is traded at once
        )
        return await self._call("room.v1.RoomService/EnterEvent", invite["token"], name=name)

    async def revoke(self, session_id: str) -> None:
        """Void all tokens of an entry at gateway, nodes and edges."""
        await self._call("auth.v1.AuthService/RevokeSession", sessionId=session_id)

    async def _call(self, method: str, credential: str = "", /, **fields: Any) -> Json:
        headers = {"Authorization": f"Bearer {credential or self._api_key}"}
        answer = await self._http.post(f"/odeon.{method}", json=fields, headers=headers)
        body: Json = answer.raise_for_status().json()
        return body


@dataclass(slots=True)
class SignedIn:
    """A browser that has signed in, and the entries that it was given."""

    user: User
    odeon_sessions: list[str] = field(default_factory=list)


class Site:
    """Routes of the site. Who is signed in is kept in memory."""

    def __init__(self, odeon: Odeon) -> None:
        self._odeon = odeon
        self._browsers: dict[str, SignedIn] = {}

    async def file(self, request: Request) -> Response:
        """The page and its scripts."""
        return FileResponse(FILES[request.url.path])

    async def sign_in(self, request: Request) -> Response:
        """{"user": id}: sets the cookie."""
        user = USERS.get((await request.json()).get("user"))
        if user is None:
            return JSONResponse({"error": "we do not know you"}, 403)
        key = secrets.token_urlsafe()
        self._browsers[key] = SignedIn(user)
        answer = JSONResponse({"name": user.name})
        answer.set_cookie(COOKIE, key, httponly=True, samesite="strict")
        return answer

    async def enter(self, request: Request) -> Response:
        """What the page needs to show the event to the user who asks."""
        browser = self._browsers.get(request.cookies.get(COOKIE, ""))
        if browser is None:
            return JSONResponse({"error": "sign in first"}, 401)
        try:
            entry = await self._odeon.enter(browser.user)
        except httpx.HTTPError as error:
            print(f"no entry for {browser.user.id}: {error}", file=sys.stderr)
            return JSONResponse({"error": "the event cannot be reached"}, 502)
        browser.odeon_sessions.append(entry["sessionId"])
        names = ("role", "playlistUrl", "whepUrl", "playbackToken", "stageUrl", "joinToken")
        return JSONResponse({name: entry[name] for name in names if name in entry})

    async def sign_out(self, request: Request) -> Response:
        """Ends what the user was given; repeated after a failure, it ends the rest."""
        browser = self._browsers.get(request.cookies.get(COOKIE, ""))
        while browser and browser.odeon_sessions:
            try:
                await self._odeon.revoke(browser.odeon_sessions[-1])
            except httpx.HTTPError as error:
                print(f"{browser.user.id} is not signed out: {error}", file=sys.stderr)
                return JSONResponse({"error": "that did not work; try again"}, 502)
            browser.odeon_sessions.pop()
        self._browsers.pop(request.cookies.get(COOKIE, ""), None)
        return Response(status_code=204)


def application(url: str, api_key: str, event: str, ca_file: str | None) -> Starlette:
    """The site, for any ASGI server."""
    trust = ssl.create_default_context(cafile=ca_file)
    http = httpx.AsyncClient(base_url=url, verify=trust, timeout=10)
    site = Site(Odeon(http, api_key, event))

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with http:
            yield

    routes = [Route(path, site.file) for path in FILES]
    routes += [
        Route("/api/sign-in", site.sign_in, methods=["POST"]),
        Route("/api/enter", site.enter, methods=["POST"]),
        Route("/api/sign-out", site.sign_out, methods=["POST"]),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


def main() -> None:
    """Read the command line and the environment that `odeon env` prints."""
    parser = argparse.ArgumentParser(description="A site whose users watch an event.")
    parser.add_argument("--port", type=int, default=8000, help="0 takes any (8000)")
    options = parser.parse_args()
    try:
        url, api_key = os.environ["ODEON_URL"], os.environ["ODEON_API_KEY"]
        event = os.environ["ODEON_EVENT"]
    except KeyError as missing:
        sys.exit(f'error: {missing} is not set; run: eval "$(odeon env)"')
    site = application(url, api_key, event, os.environ.get("ODEON_CA_FILE"))
    uvicorn.run(site, host="127.0.0.1", port=options.port)


if __name__ == "__main__":
    main()
