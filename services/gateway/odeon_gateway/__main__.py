"""`python -m odeon_gateway`: the public face."""

from functools import partial

from odeon_runtime.run import run

from odeon_gateway.app import SERVICE, gateway
from odeon_gateway.settings import GatewaySettings


def main() -> None:
    """Run until told to stop."""
    settings = GatewaySettings()
    run(SERVICE, settings, partial(gateway, settings))


if __name__ == "__main__":
    main()
