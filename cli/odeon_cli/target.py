"""Which deployment a command talks to: the one named by options, else the one that runs here."""

from dataclasses import dataclass
from pathlib import Path

from odeon_cli.api import Api
from odeon_cli.console import CliError
from odeon_cli.state import find_running, home, running_in


@dataclass(frozen=True, slots=True)
class Target:
    """A gateway and a key to it."""

    url: str
    api_key: str
    edge: str = ""
    tenant: str = ""
    ca_file: str = ""

    def api(self) -> Api:
        """A client; use it as an async context manager."""
        return Api(self.url, self.api_key, ca_file=self.ca_file)


def find_target(url: str, api_key: str, ca_file: str, data_dir: Path | None) -> Target:
    """The deployment meant.

    Raises:
        CliError: half of it is named, or none runs here.
    """
    url = url.rstrip("/")
    running = find_running(data_dir) if not url else running_in(data_dir or home())
    # `odeon env` names the one that runs here, whose edges are known too.
    if running is not None and url in ("", running.gateway):
        return Target(
            url=running.gateway,
            api_key=api_key or running.api_key,
            edge=running.edge,
            tenant=running.tenant,
            ca_file=ca_file or running.ca_file,
        )
    if not api_key:
        raise CliError("--url needs an API key", hint="pass --api-key or set ODEON_API_KEY")
    return Target(url=url, api_key=api_key, ca_file=ca_file)
