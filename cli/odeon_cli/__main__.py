"""`python -m odeon_cli` is `odeon`; what `odeon up` starts its publisher with."""

from odeon_cli.main import app

if __name__ == "__main__":
    app()
