"""`python -m odeon_auth` runs the service; `python -m odeon_auth migrate` only its migrations."""

import asyncio
import sys

from odeon_runtime.run import run

from odeon_auth import app
from odeon_auth.settings import AuthSettings


def main() -> None:
    """Run the service or its migrations."""
    settings = AuthSettings()
    if sys.argv[1:] == ["migrate"]:
        asyncio.run(app.migrate(settings))
        return
    run("auth", settings, lambda: app.start(settings))


if __name__ == "__main__":
    main()
