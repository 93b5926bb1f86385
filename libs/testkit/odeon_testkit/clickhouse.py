"""ClickHouse's HTTP interface over chDB: the real engine behind the protocol its clients speak.

There is no package of the server to be had where the tests run. This is not the server: no users,
no sessions, no settings beyond what the engine takes from a statement, one statement at a time. A
process of its own, since chDB keeps one session a process and the tests have one already.
"""

import json
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_BOUND = "param_"


class _Engine:
    """One session, used by one request at a time."""

    def __init__(self, path: Path) -> None:
        from chdb import session

        made: Any = session
        self._session = made.Session(str(path / "data"))
        self._incoming = path / "incoming.native"
        self._lock = threading.Lock()
        self._session.query("CREATE DATABASE IF NOT EXISTS odeon")
        self._session.query("USE odeon")

    def run(self, sql: str, parameters: dict[str, str], rows: bytes) -> bytes:
        """A statement; `rows` are what an INSERT … FORMAT Native brings."""
        with self._lock:
            if rows:
                self._incoming.write_bytes(rows)
                head = sql.partition("FORMAT Native")[0]
                sql = f"{head} SELECT * FROM file('{self._incoming}', Native)"
            return bytes(self._session.query(sql, "TabSeparated", params=parameters).bytes())


async def _answer(engine: _Engine, request: Request) -> Response:
    """A statement in the query string with its rows as the body, or both in the body."""
    asked, body = request.query_params, await request.body()
    if "query" in asked:
        sql, rows = asked["query"], body
    elif body.startswith(b"INSERT"):
        head, _, rows = body.partition(b"\n")
        sql = head.decode()
    else:
        sql, rows = body.decode(), b""
    bound = {k.removeprefix(_BOUND): v for k, v in asked.items() if k.startswith(_BOUND)}
    try:
        return Response(await run_in_threadpool(engine.run, sql, bound, rows))
    except RuntimeError as error:
        return Response(str(error), 400, {"X-ClickHouse-Exception-Code": "1"})


@contextmanager
def clickhouse_server() -> Iterator[str]:
    """A server with an empty database `odeon`; yields its URL for `ODEON_ANALYTICS_STORE`."""
    with (
        tempfile.TemporaryDirectory(prefix="odeon-clickhouse-") as folder,
        subprocess.Popen(
            [sys.executable, "-m", __name__, folder], stdout=subprocess.PIPE, text=True
        ) as process,
    ):
        try:
            assert process.stdout is not None
            port = json.loads(process.stdout.readline())["port"]
            # Bodies are taken as they are.
            yield f"clickhouse://default:@127.0.0.1:{port}/odeon?compress=false"
        finally:
            process.terminate()


def main() -> None:
    """Serve a directory until the end; prints the port."""
    engine = _Engine(Path(sys.argv[1]))
    app = Starlette(routes=[Route("/", partial(_answer, engine), methods=["GET", "POST"])])
    listener = socket.create_server(("127.0.0.1", 0))
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
    config = uvicorn.Config(app, log_level="error", lifespan="off")
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
