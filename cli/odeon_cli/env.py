"""`odeon env`: the running deployment as shell variables, for scripts and programs."""

import shlex
import sys
from pathlib import Path

from odeon_cli.console import emit
from odeon_cli.state import Running, find_running


def print_env(data_dir: Path | None, *, as_json: bool) -> None:
    """Print where the deployment is and its key; a shell takes it with `eval "$(odeon env)"`.

    Raises:
        CliError: none runs.
    """
    values = variables(find_running(data_dir))
    if as_json:
        emit(values)
        return
    for name, value in values.items():
        sys.stdout.write(f"export {name}={shlex.quote(value)}\n")


def variables(running: Running) -> dict[str, str]:
    """What the commands' options and the examples read; without those that it has no value for."""
    values = {
        "ODEON_URL": running.gateway,
        "ODEON_GRPC": running.grpc,
        "ODEON_API_KEY": running.api_key,
        "ODEON_CA_FILE": running.ca_file,
        "ODEON_EVENT": running.event,
    }
    return {name: value for name, value in values.items() if value}
