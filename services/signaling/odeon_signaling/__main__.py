"""`python -m odeon_signaling`: one SFU node."""

from functools import partial

from odeon_runtime.run import run

from odeon_signaling.app import SERVICE, signaling
from odeon_signaling.settings import SignalingSettings


def main() -> None:
    """Run until told to stop."""
    settings = SignalingSettings()
    run(SERVICE, settings, partial(signaling, settings))


if __name__ == "__main__":
    main()
