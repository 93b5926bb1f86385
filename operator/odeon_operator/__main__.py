"""`python -m odeon_operator` runs the operator."""

from odeon_runtime.run import run

from odeon_operator import app
from odeon_operator.settings import OperatorSettings


def main() -> None:
    """Run the operator."""
    settings = OperatorSettings()
    run("operator", settings, lambda: app.start(settings))


if __name__ == "__main__":
    main()
