"""Where images are kept between runs."""

import os
from pathlib import Path

from odeon_testkit.images.oci import Store


def folder() -> Path:
    """The user's cache of this project."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("ODEON_CACHE") or Path(home) / "odeon")


def store() -> Store:
    """Of images and their layers."""
    return Store(folder() / "images")
