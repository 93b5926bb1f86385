"""`python -m odeon_room` runs the service; `python -m odeon_room migrate` only its migrations."""

import asyncio
import sys

from odeon_runtime.run import run

from odeon_room import app
from odeon_room.settings import RoomSettings


def main() -> None:
    """Run the service or its migrations."""
    settings = RoomSettings()
    if sys.argv[1:] == ["migrate"]:
        asyncio.run(app.migrate(settings))
        return
    run("room", settings, lambda: app.start(settings))


if __name__ == "__main__":
    main()
