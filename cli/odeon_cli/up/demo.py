"""The demo event: created through the public face, fed by the test card, watched until it plays."""

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urljoin

import httpx
from odeon.room.v1 import room_pb2

from odeon_cli.api import Api, ApiError, tls_context
from odeon_cli.console import CliError
from odeon_cli.token import publish_token

_EVENT_IDS = ("demo", *(f"demo-{n}" for n in range(2, 1000)))
_ROOM = "odeon.room.v1.RoomService"
_POLL_S = 0.1
_PLAYABLE = re.compile(r"^#EXT-X-PART:|^#EXTINF:", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Demo:
    """An event with the links that people and programs need."""

    event: str
    links: room_pb2.EventLinks
    card_token: str
    """Publish token of the test card; the one in the links is for the user's own encoder."""

    def note(self, title: str) -> dict[str, str]:
        """What the home page is told."""
        return {
            "title": title,
            "watch_url": self.links.watch_url,
            "studio_url": self.links.studio_url,
        }


async def create_demo(api: Api, title: str) -> Demo:
    """Create the demo event and set it live; an ended one of an earlier run keeps its name."""
    for event_id in _EVENT_IDS:
        request = room_pb2.CreateEventRequest(event_id=event_id, event=room_pb2.Event(title=title))
        try:
            created = await api.call(f"{_ROOM}/CreateEvent", request, room_pb2.CreateEventResponse)
        except ApiError as refusal:
            if refusal.code != "already_exists":
                raise
            await end_event(api, event_id)
            continue
        start = room_pb2.StartEventRequest(name=created.event.name)
        await api.call(f"{_ROOM}/StartEvent", start, room_pb2.StartEventResponse)
        token = await publish_token(api, event_id, name="Test card")
        return Demo(event_id, created.links, token)
    raise CliError("too many demo events", hint="use a fresh --data-dir")


async def end_event(api: Api, event_id: str) -> None:
    """End an event whatever its state; ended ones stay as they are."""
    request = room_pb2.EndEventRequest(name=f"events/{event_id}")
    with suppress(ApiError):
        await api.call(f"{_ROOM}/EndEvent", request, room_pb2.EndEventResponse)


async def wait_playable(playlist_url: str, *, ca_file: str, timeout_s: float) -> None:
    """Return when the edge serves the first part of a rendition.

    Raises:
        CliError: nothing came in time; says what the edge answered last.
    """
    last = "nothing"
    async with httpx.AsyncClient(verify=tls_context(ca_file), timeout=5.0) as http:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while True:
                    with suppress(httpx.HTTPError):
                        last = await _first_rendition(http, playlist_url)
                        if not last:
                            return
                    await asyncio.sleep(_POLL_S)
    raise CliError(
        f"no picture came through the edge within {timeout_s:.0f} s (it answers {last})",
        hint="see the logs of publisher, signaling, transcoder-1, recorder in the data directory",
    )


async def _first_rendition(http: httpx.AsyncClient, playlist_url: str) -> str:
    """Empty when a part is there, else what is wrong."""
    master = await http.get(playlist_url)
    if master.status_code != httpx.codes.OK:
        return f"{master.status_code} for the main playlist"
    names = [line for line in master.text.splitlines() if line and not line.startswith("#")]
    if not names:
        return "a main playlist without renditions"
    media = await http.get(urljoin(playlist_url, names[0]))
    if media.status_code != httpx.codes.OK:
        return f"{media.status_code} for {names[0]}"
    return "" if _PLAYABLE.search(media.text) else f"{names[0]} without parts"
