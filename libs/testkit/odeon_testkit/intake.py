"""A recorder's intake over real HTTP that keeps parts in memory and can be made to fail."""

import base64
import hashlib
import http.server
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

Fault = Callable[[str], tuple[int, str] | None]
"""Given a request path, an answer (status, reason) instead of storing; status 0 cuts the line."""


@dataclass(frozen=True, slots=True)
class KeptPart:
    """A part as it came in."""

    msn: int
    part: int
    data: bytes
    duration_s: float
    independent: bool
    last: bool
    capture_ms: int | None
    at_unix_s: float


@dataclass
class Intake:
    """What was taken in. One thread per connection writes, under `changed`."""

    url: str = ""
    inits: dict[str, bytes] = field(default_factory=dict)
    parts: dict[str, list[KeptPart]] = field(default_factory=lambda: defaultdict(list))
    requests: int = 0
    fault: Fault = lambda path: None
    changed: threading.Condition = field(default_factory=threading.Condition)

    def file(self, track: str) -> bytes:
        """All of a track as one playable file."""
        return self.inits[track] + b"".join(part.data for part in self.parts[track])

    def wait_for(self, ready: Callable[[], bool], timeout_s: float = 20.0) -> None:
        """Wait until something about the parts is true."""
        with self.changed:
            assert self.changed.wait_for(ready, timeout_s), "the parts never came"

    def store(self, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, str]:
        """What the recorder would answer, without its rules of order and epoch."""
        track, *place = path.split("/")[4:]
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        if headers["content-digest"] != f"sha-256=:{digest}:":
            return 400, "DIGEST_MISMATCH"
        with self.changed:
            if place == ["init"]:
                self.inits[track] = body
                return 201, ""
            part = _part(int(place[0]), int(place[1]), headers, body)
            for kept in self.parts[track]:
                if (kept.msn, kept.part) == (part.msn, part.part):
                    return (200, "") if kept.data == body else (409, "PART_CONFLICT")
            self.parts[track].append(part)
            self.changed.notify_all()
            return 201, ""


@contextmanager
def intake_server() -> Iterator[Intake]:
    """An intake on a free port."""
    intake = Intake()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            intake.requests += 1
            headers = {key.lower(): value for key, value in self.headers.items()}
            status, reason = intake.fault(self.path) or intake.store(self.path, headers, body)
            if status == 0:
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("Content-Length", "0")
            if reason:
                self.send_header("Odeon-Reason", reason)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    intake.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield intake
    finally:
        server.shutdown()
        server.server_close()


def _part(msn: int, part: int, headers: Mapping[str, str], body: bytes) -> KeptPart:
    capture = headers.get("odeon-capture")
    return KeptPart(
        msn=msn,
        part=part,
        data=body,
        duration_s=float(headers["odeon-duration"]),
        independent=headers["odeon-independent"] == "?1",
        last=headers["odeon-last"] == "?1",
        capture_ms=int(capture) if capture is not None else None,
        at_unix_s=time.time(),
    )
