"""WHIP (RFC 9725): one POST of an offer, one DELETE at the end."""

from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urljoin, urlsplit

import httpx

from odeon_cli.api import tls_context
from odeon_cli.console import CliError

_TIMEOUT_S = 10.0
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})


class Refused(CliError):
    """The server said no; trying again changes nothing."""


class Away(CliError):
    """The server does not answer, or says that it will soon; trying again may help."""


@dataclass(frozen=True, slots=True)
class Session:
    """An answered offer."""

    answer: str
    resource: str


class WebRtcHttp:
    """WHIP and WHEP are the same exchange on different addresses. An async context manager."""

    def __init__(self, url: str, token: str, *, ca_file: str = "") -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"}
        self._http = httpx.AsyncClient(verify=tls_context(ca_file), timeout=_TIMEOUT_S)

    async def __aenter__(self) -> Self:
        """Nothing is asked yet."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connection."""
        await self._http.aclose()

    async def open(self, offer: str) -> Session:
        """Send the offer, return the answer.

        Raises:
            Refused: bad token, unknown event, offer not understood.
            Away: no answer, or a passing failure.
        """
        headers = {**self._headers, "Content-Type": "application/sdp"}
        try:
            response = await self._http.post(self._url, content=offer, headers=headers)
        except httpx.HTTPError as error:
            hint = "is the deployment running? `odeon up` starts one"
            said = str(error) or type(error).__name__
            raise Away(f"{self._url} does not answer: {said}", hint=hint) from error
        if response.status_code in _TRANSIENT:
            raise Away(f"{self._url} answered {response.status_code}: {_reason(response)}")
        if response.status_code != httpx.codes.CREATED:
            raise _refusal(self._url, response)
        return Session(response.text, urljoin(self._url, response.headers.get("Location", "")))

    async def close(self, session: Session) -> None:
        """Give the session back; a server that is gone has forgotten it anyway."""
        try:
            await self._http.delete(session.resource, headers=self._headers)
        except httpx.HTTPError:
            return


def local_address(url: str) -> str:
    """Address for a media socket that reaches the host of `url`."""
    host = urlsplit(url).hostname or ""
    if host in ("localhost", "::1") or host.startswith("127."):
        return "127.0.0.1"
    return "0.0.0.0"


def _refusal(url: str, response: httpx.Response) -> Refused:
    hints = {
        401: "the token is wrong, expired or revoked; `odeon token publish EVENT` makes one",
        403: "the token does not allow this; `odeon token --help` lists the kinds",
        404: "no such event; `odeon events list` lists them",
        409: "the event has ended or is published to already; see `odeon events list`",
    }
    status = response.status_code
    return Refused(f"{url} answered {status}: {_reason(response)}", hint=hints.get(status, ""))


def _reason(response: httpx.Response) -> str:
    try:
        body: Any = response.json()
    except ValueError:
        return response.text.strip()[:200] or response.reason_phrase
    if isinstance(body, dict):
        return str(body.get("message") or body.get("detail") or body.get("reason") or body)[:200]
    return str(body)[:200]
