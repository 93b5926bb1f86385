"""`python -m odeon_signaling.prober`: joins every node for real, again and again."""

from functools import partial

from odeon_runtime.run import run

from odeon_signaling.prober.app import SERVICE, prober
from odeon_signaling.prober.settings import ProberSettings


def main() -> None:
    """Run until told to stop."""
    settings = ProberSettings()
    run(SERVICE, settings, partial(prober, settings))


if __name__ == "__main__":
    main()
