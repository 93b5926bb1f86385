"""The API server's REST, as thin as the operator needs it.

kopf brings aiohttp along and knows how to log in; its own client is private. Another client library
would cost 6 to 20 MiB of memory for five verbs (ADR 6).
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, Self
from urllib.parse import urlencode

import aiohttp
import kopf
from odeon_runtime.logs import logger

from odeon_operator.ports import Outdated, Refused, Unreachable

Object = dict[str, Any]
"""A resource as JSON has it."""
_CHUNK = 500
"""Objects in one page of a list: bounds the memory that one page takes, at some 4 KiB a pod."""
_CONNECT_S = 5.0
_REQUEST_S = 10.0
_AGENT = "odeon-operator"
MERGE = "application/merge-patch+json"
_log = logger(__name__)


def login() -> kopf.ConnectionInfo:
    """Where the API server is and who we are: in a pod its service account, else the kubeconfig.

    Raises:
        kopf.LoginError: neither is there.
    """
    settings = kopf.OperatorSettings()
    found = kopf.login_with_service_account(settings=settings)
    found = found or kopf.login_with_kubeconfig(settings=settings)
    if found is None:
        raise kopf.LoginError("there is neither a service account nor a kubeconfig")
    return found


class KubeClient:
    """One connection pool. An async context manager."""

    def __init__(self) -> None:
        self._info: kopf.ConnectionInfo | None = None
        self._session: aiohttp.ClientSession | None = None
        self._login = asyncio.Lock()

    async def __aenter__(self) -> Self:
        """Log in; does not wait for the API server."""
        await self._log_in(None)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    @property
    def namespace(self) -> str:
        """The one that the kubeconfig's context, or the service account, names; else empty."""
        return (self._info.default_namespace or "") if self._info is not None else ""

    async def _log_in(self, refused: aiohttp.ClientSession | None) -> None:
        """Take new credentials in place of those of a session; of many that ask, the first does."""
        async with self._login:
            if self._session is not refused:
                return
            info = await asyncio.to_thread(login)
            self._info, self._session = (
                info,
                aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(ssl=info.as_ssl_context(), limit=64),
                    headers={**info.as_http_headers(), "User-Agent": _AGENT},
                    timeout=aiohttp.ClientTimeout(total=_REQUEST_S, sock_connect=_CONNECT_S),
                ),
            )
            if refused is not None:
                await refused.close()

    async def get(self, path: str) -> Object:
        """Read one object; raises as `request`."""
        return await self.request("GET", path)

    async def post(self, path: str, body: Mapping[str, Any]) -> Object:
        """Create; raises as `request`, Outdated where the name is taken."""
        return await self.request("POST", path, body)

    async def put(self, path: str, body: Mapping[str, Any]) -> Object:
        """Replace; raises as `request`."""
        return await self.request("PUT", path, body)

    async def merge(self, path: str, body: Mapping[str, Any]) -> Object:
        """Change some fields; raises as `request`."""
        return await self.request("PATCH", path, body, content_type=MERGE)

    async def delete(self, path: str, *, uid: str, revision: str) -> Object:
        """Delete exactly this object as it was seen; raises as `request`."""
        preconditions = {"uid": uid, "resourceVersion": revision}
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": preconditions}
        return await self.request("DELETE", path, options)

    async def pages(self, path: str, *, selector: str = "") -> AsyncIterator[list[Object]]:
        """All objects of a list, some at a time; raises as `request`, also halfway."""
        query = {"limit": str(_CHUNK), **({"labelSelector": selector} if selector else {})}
        while True:
            page = await self.get(f"{path}?{urlencode(query)}")
            yield page.get("items") or []
            mark = (page.get("metadata") or {}).get("continue")
            if not mark:
                return
            query["continue"] = mark

    async def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        content_type: str = "application/json",
    ) -> Object:
        """One request.

        Raises:
            Outdated: it is gone, exists already or has changed (404, 409, 410).
            Refused: the API server will not have it (other 4xx).
            Unreachable: it does not answer, is overloaded or does not know us now.
        """
        session = self._session
        code, answer = await self._send(method, path, body, content_type)
        if code == 401:
            # Tokens of service accounts live for an hour; the file has a new one by now.
            await self._log_in(session)
            code, answer = await self._send(method, path, body, content_type)
        if code < 300:
            return answer
        said = f"{method} {path.split('?')[0]}: {code} {answer.get('message', '')}"
        if code in (404, 409, 410):
            raise Outdated(said)
        if code in (401, 429) or code >= 500:
            raise Unreachable(said)
        raise Refused(said)

    async def _send(
        self, method: str, path: str, body: Mapping[str, Any] | None, content_type: str
    ) -> tuple[int, Object]:
        session, info = self._session, self._info
        if session is None or info is None:
            raise Unreachable("not logged in")
        data = json.dumps(body).encode() if body is not None else None
        headers = {"Content-Type": content_type} if data is not None else {}
        try:
            async with session.request(
                method, info.server.rstrip("/") + path, data=data, headers=headers
            ) as response:
                raw = await response.read()
                return response.status, _parsed(raw)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable(f"{method} {path.split('?')[0]}: {error!r}") from error


def _parsed(raw: bytes) -> Object:
    try:
        found = json.loads(raw)
    except ValueError:
        return {"message": raw[:200].decode(errors="replace")}
    return found if isinstance(found, dict) else {}
