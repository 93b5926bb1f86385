"""The gateway's JSON face, for the commands: Connect's unary POST with typed messages."""

import ssl
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx
from google.protobuf import json_format
from google.protobuf.message import Message
from odeon.auth.v1 import auth_pb2

from odeon_cli.console import CliError

_TIMEOUT_S = 10.0
M = TypeVar("M", bound=Message)

_HINTS = {
    "unauthenticated": "check the API key (`odeon up` prints it; --api-key or ODEON_API_KEY)",
    "permission_denied": "use a key whose role allows this",
    "not_found": "list what exists with `odeon events list`",
    "unavailable": "look at the log files in the data directory; `odeon doctor` checks the machine",
}


class ApiError(CliError):
    """The gateway refused; `reason` is the stable name of the refusal."""

    def __init__(self, message: str, *, code: str, reason: str) -> None:
        super().__init__(message, hint=_HINTS.get(code, ""))
        self.code = code
        self.reason = reason


def tls_context(ca_file: str) -> ssl.SSLContext | bool:
    """Trust the system's authorities, and the local one if there is one."""
    if not ca_file:
        return True
    if not Path(ca_file).is_file():
        raise CliError(
            f"no certificate authority at {ca_file}", hint="is `odeon up --tls` running?"
        )
    return ssl.create_default_context(cafile=ca_file)


class Api:
    """One deployment, seen with one API key. An async context manager.

    Args:
        url: base URL of the gateway.
        api_key: secret that is traded for short access tokens.
        ca_file: PEM file of a local authority; empty trusts the system's.
    """

    def __init__(self, url: str, api_key: str, *, ca_file: str = "") -> None:
        self._url = url.rstrip("/")
        self._api_key = api_key
        self._token = ""
        self._http = httpx.AsyncClient(verify=tls_context(ca_file), timeout=_TIMEOUT_S)

    async def __aenter__(self) -> Self:
        """Nothing is asked before the first call."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def call(self, method: str, request: Message, response: type[M]) -> M:
        """One RPC, e.g. "odeon.room.v1.RoomService/ListEvents", with the key's rights.

        Raises:
            ApiError: the gateway refused.
            CliError: the gateway does not answer.
        """
        if not self._token:
            exchange = auth_pb2.ExchangeApiKeyRequest(secret=self._api_key)
            method_name = "odeon.auth.v1.AuthService/ExchangeApiKey"
            answer = await self._post(method_name, exchange, auth_pb2.ExchangeApiKeyResponse)
            self._token = answer.token
        return await self._post(method, request, response)

    async def _post(self, method: str, request: Message, response: type[M]) -> M:
        headers = {"Connect-Protocol-Version": "1"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        body = json_format.MessageToDict(request)
        try:
            answer = await self._http.post(f"{self._url}/{method}", json=body, headers=headers)
        except httpx.HTTPError as error:
            hint = "is it running? `odeon up` starts one; `odeon doctor` checks the machine"
            raise CliError(f"{self._url} does not answer: {_said(error)}", hint=hint) from error
        if answer.status_code != httpx.codes.OK:
            raise _refusal(answer)
        try:
            return json_format.ParseDict(answer.json(), response(), ignore_unknown_fields=True)
        except (ValueError, json_format.ParseError) as error:
            raise CliError(f"{self._url} is not an Odeon gateway") from error


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__


def _refusal(answer: httpx.Response) -> CliError:
    try:
        body: dict[str, Any] = answer.json()
    except ValueError:
        body = {}
    if not isinstance(body, dict):
        body = {}
    code = str(body.get("code", "")) or f"http_{answer.status_code}"
    reason = ""
    for detail in body.get("details", ()):
        debug = detail.get("debug") if isinstance(detail, dict) else None
        if isinstance(debug, dict) and debug.get("reason"):
            reason = str(debug["reason"])
    message = str(body.get("message", "")) or f"the gateway answered {answer.status_code}"
    return ApiError(f"{message} ({reason or code})", code=code, reason=reason)
