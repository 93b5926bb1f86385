"""The one private HTTP port: intake under /ingest, the origin elsewhere, and health."""

from odeon_runtime.errors import DomainError
from odeon_runtime.http import Receive, Scope, Send

from odeon_recorder.api.http import Answer, refusal
from odeon_recorder.api.ingest import Ingest
from odeon_recorder.api.origin import Origin


class App:
    """ASGI application; turns refusals into answers in this one place."""

    def __init__(self, ingest: Ingest, origin: Origin) -> None:
        self._ingest = ingest
        self._origin = origin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        path: str = scope["path"]
        if path == "/healthz":
            await Answer(200, b"ok").send(scope, send)
            return
        # An intake address has five or six steps, the origin's has four at most.
        intake = path.startswith("/ingest/") and scope["method"] not in ("GET", "HEAD")
        try:
            await (self._ingest if intake else self._origin)(scope, receive, send)
        except DomainError as error:
            answer = refusal(error)
            caching = {"cache-control": "no-cache", "access-control-allow-origin": "*"}
            headers = {**answer.headers, **({} if intake else caching)}
            await Answer(answer.status, answer.body, headers).send(scope, send)
