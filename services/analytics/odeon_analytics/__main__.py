"""`python -m odeon_analytics`: facts, beacons and what they add up to."""

from functools import partial

from odeon_runtime.run import run

from odeon_analytics.app import SERVICE, analytics
from odeon_analytics.settings import AnalyticsSettings


def main() -> None:
    """Run until told to stop."""
    settings = AnalyticsSettings()
    run(SERVICE, settings, partial(analytics, settings))


if __name__ == "__main__":
    main()
