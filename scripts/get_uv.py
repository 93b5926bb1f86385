"""Gets uv from its wheel with nothing but the standard library.

Debian's python3 brings neither pip nor ensurepip: those are packages of their own, and whoever has
named a package index to pip should need none. Usage: get_uv.py VERSION DIRECTORY writes
DIRECTORY/bin/uv.
"""

import base64
import configparser
import hashlib
import io
import os
import platform
import ssl
import sys
import urllib.request
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

_WHEELS = {
    "x86_64": (
        "manylinux_2_17_x86_64.manylinux2014_x86_64",
        "d7f459fe4fd247d830351c75686d3996ace3c6f3f728eb0e85a30b7ada0cef19",
    ),
    "aarch64": (
        "manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64",
        "5435c5ce14a56431208ca0996416d310f1598e8c2c8ba707688985a16bb82dbe",
    ),
}
"""Machine → platform tag and SHA-256 of the wheel; a new UV_VERSION (common.sh) needs new ones."""
_TIMEOUT_S = 60.0


class GetUvError(Exception):
    """uv could not be had; says why."""


class _Links(HTMLParser):
    """The links of an index page (PEP 503)."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the address of an anchor."""
        if tag == "a":
            self.found += [value for name, value in attrs if name == "href" and value]


def get_uv(index: str, wheel: str, digest: str, directory: Path) -> Path:
    """Write `directory`/bin/uv out of a wheel that the index lists; returns its path.

    Raises:
        GetUvError: the index does not list it, or its SHA-256 is another.
        OSError: the index cannot be reached.
    """
    page_url = f"{index.rstrip('/')}/uv/"
    links = _Links()
    links.feed(_read(page_url, "text/html").decode("utf-8", "replace"))
    named = [link for link in links.found if unquote(urlsplit(link).path).endswith(f"/{wheel}")]
    if not named:
        raise GetUvError(f"{wheel} is not in the package index")
    address = urlunsplit(urlsplit(urljoin(page_url, named[0]))._replace(fragment=""))
    body = _read(address, "*/*")
    if hashlib.sha256(body).hexdigest() != digest:
        raise GetUvError(f"{wheel} is not the file it should be (its SHA-256 differs)")
    program = directory / "bin" / "uv"
    program.parent.mkdir(parents=True, exist_ok=True)
    unfinished = program.with_suffix(f".{os.getpid()}")
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        (inside,) = [n for n in archive.namelist() if n.endswith(".data/scripts/uv")]
        unfinished.write_bytes(archive.read(inside))
    unfinished.chmod(0o755)
    return unfinished.replace(program)


def package_index() -> str:
    """The index that pip is told to ask, by its environment or its configuration files.

    Raises:
        GetUvError: it is told none; pip itself knows where to ask then.
    """
    config = configparser.RawConfigParser()
    home = Path.home()
    config.read(
        [
            "/etc/pip.conf",
            "/etc/xdg/pip/pip.conf",
            home / ".pip" / "pip.conf",
            home / ".config" / "pip" / "pip.conf",
            os.environ.get("PIP_CONFIG_FILE", os.devnull),
        ]
    )
    named = os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("PIP_INDEX_URL")
    if index := named or config.get("global", "index-url", fallback=""):
        return index
    raise GetUvError("no package index is configured (PIP_INDEX_URL)")


def _read(url: str, accept: str) -> bytes:
    parts = urlsplit(url)
    request = urllib.request.Request(url, headers={"Accept": accept})
    if parts.username:
        request.full_url = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        request.add_header("Authorization", f"Basic {base64.b64encode(login.encode()).decode()}")
    trust = ssl.create_default_context(cafile=os.environ.get("PIP_CERT"))
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S, context=trust) as answer:
        return bytes(answer.read())


def main(version: str, directory: str) -> None:
    """The command."""
    machine = platform.machine()
    if sys.platform != "linux" or machine not in _WHEELS:
        sys.exit(f"no uv is known for {sys.platform} on {machine}: install Python's venv and pip")
    tag, digest = _WHEELS[machine]
    try:
        get_uv(package_index(), f"uv-{version}-py3-none-{tag}.whl", digest, Path(directory))
    except (GetUvError, OSError) as error:
        sys.exit(f"uv was not fetched: {error}. Going on with Python's venv and pip.")


if __name__ == "__main__":
    main(*sys.argv[1:])
