#!/usr/bin/env python3
"""Run an event over the JSON face: create it, print its links, follow its state, end it.

Every RPC is `POST /<package>.<Service>/<Method>` with a JSON body and the API key as bearer token.
"""

import argparse
import os
import ssl
import sys
import time
from typing import Any, NoReturn

import httpx

ROOMS = "odeon.room.v1.RoomService"
POLL_S = 0.5


class Odeon:
    """One tenant's view of a deployment."""

    def __init__(self, url: str, api_key: str, ca_file: str | None = None) -> None:
        self._http = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {api_key}"},
            verify=ssl.create_default_context(cafile=ca_file),
            timeout=10,
        )

    def call(self, method: str, **fields: Any) -> dict[str, Any]:
        """One RPC, e.g. "odeon.room.v1.RoomService/GetEvent".

        Raises:
            httpx.HTTPStatusError: it was refused; the body says why.
            httpx.TransportError: nobody answered.
        """
        answer = self._http.post(method, json=fields).raise_for_status()
        body: dict[str, Any] = answer.json()
        return body


def run_event(odeon: Odeon, title: str, seconds: float) -> None:
    """An event from its creation to its end; Ctrl-C ends it early."""
    created = odeon.call(f"{ROOMS}/CreateEvent", event={"title": title})
    event = created["event"]["name"]
    for name, link in created["links"].items():
        print(f"{name}: {link}")
    try:
        follow(odeon, event, seconds)
    except KeyboardInterrupt:
        pass
    finally:
        ended = odeon.call(f"{ROOMS}/EndEvent", name=event)
        print(f"{event}: {ended['event']['state']}", flush=True)


def follow(odeon: Odeon, event: str, seconds: float) -> None:
    """Start the event and print each state that it takes, whoever changes it."""
    seen = ""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        state = odeon.call(f"{ROOMS}/GetEvent", name=event)["event"]["state"]
        if state != seen:
            print(f"{event}: {state}", flush=True)
            seen = state
        if state == "STATE_ENDED":
            return
        if state == "STATE_SCHEDULED":
            # A host who presses "Go live" in the studio does the same.
            odeon.call(f"{ROOMS}/StartEvent", name=event)
            continue
        time.sleep(POLL_S)


def explain(refusal: httpx.HTTPStatusError) -> str:
    """The message of a refusal with its stable reason, which programs may act on."""
    try:
        body = refusal.response.json()
    except ValueError:
        return f"{refusal.request.url} answered {refusal.response.status_code}; is it the gateway?"
    reasons = [detail.get("debug", {}).get("reason") for detail in body.get("details", [])]
    return f"{body.get('message')} ({next(filter(None, reasons), body.get('code'))})"


def fail(message: str) -> NoReturn:
    """Say what went wrong and exit with 1."""
    sys.exit(f"error: {message}")


def main() -> None:
    """Read the command line and the environment that `odeon env` prints."""
    parser = argparse.ArgumentParser(description="Run an event over the JSON face.")
    parser.add_argument("title", help="shown to the audience")
    parser.add_argument("--seconds", type=float, default=3600, help="until it is ended (3600)")
    options = parser.parse_args()
    try:
        url, api_key = os.environ["ODEON_URL"], os.environ["ODEON_API_KEY"]
    except KeyError as missing:
        fail(f'{missing} is not set; run: eval "$(odeon env)"')
    odeon = Odeon(url, api_key, os.environ.get("ODEON_CA_FILE"))
    try:
        run_event(odeon, options.title, options.seconds)
    except httpx.HTTPStatusError as refusal:
        fail(explain(refusal))
    except httpx.TransportError as error:
        fail(f"{url} does not answer: {error}")


if __name__ == "__main__":
    main()
