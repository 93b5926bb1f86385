"""Images that stand in for the official ones of NATS and PostgreSQL, under the same names.

They are made of the programs that this machine has anyway, from the wheel and from Debian's
package, and hold what the chart needs of the official ones.
"""

import shutil
import subprocess
from pathlib import Path

from odeon_testkit.images import oci
from odeon_testkit.images.build import Builder
from odeon_testkit.nats import nats_program

NATS = "docker.io/library/nats:2.15-alpine"
POSTGRES = "docker.io/library/postgres:15-bookworm"
_POSTGRES_HOME = Path("/usr/lib/postgresql/15")
_POSTGRES_PROGRAMS = ("initdb", "pg_isready", "postgres", "psql")
# Of the base system, which the official image has whole.
_TOOLS = ("grep", "sed")


def images_for_tests(builder: Builder) -> list[oci.Image]:
    """Everything that a deployment runs."""
    return [*map(builder.image, builder.services), *others(builder)]


def others(builder: Builder) -> list[oci.Image]:
    """What a deployment runs that is not ours."""
    return [nats(builder), postgres(builder)]


def nats(builder: Builder) -> oci.Image:
    """Runs nats-server as anybody but root."""
    program = Path(nats_program())

    def fill(root: Path) -> None:
        _put(program, root / "usr/local/bin/nats-server")

    layers = (builder.base, builder.layer(oci.key_of("nats", program), fill))
    config = oci.Config(entrypoint=("nats-server",))
    return builder.store.image(NATS, layers, config)


def postgres(builder: Builder) -> oci.Image:
    """PostgreSQL 15 with its programs on the PATH."""
    key = oci.key_of("postgres", Path(__file__), _POSTGRES_HOME / "bin/postgres")
    layers = (builder.base, builder.layer(key, _fill_postgres))
    config = oci.Config(entrypoint=("postgres",), user="999:999")
    return builder.store.image(POSTGRES, layers, config)


def _fill_postgres(root: Path) -> None:
    programs = [_POSTGRES_HOME / "bin" / name for name in _POSTGRES_PROGRAMS]
    tools = [Path(found) for name in _TOOLS if (found := shutil.which(name))]
    # Its compiler of queries brings a hundred megabytes of LLVM, and is loaded on demand.
    libraries = [p for p in (_POSTGRES_HOME / "lib").glob("*.so") if "llvm" not in p.name]
    for path in (*programs, *libraries):
        _put(path, root / path.relative_to("/"))
    for path in tools:
        _put(path, root / "usr/bin" / path.name)
    for needed in sorted(
        {each for path in (*programs, *libraries, *tools) for each in _needs(path)}
    ):
        _put(needed, root / "usr/lib" / needed.parent.name / needed.name)
    shutil.copytree("/usr/share/postgresql/15", root / "usr/share/postgresql/15")
    for path in programs:
        link = root / "usr/local/bin" / path.name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)


def _needs(program: Path) -> list[Path]:
    """The shared libraries of a program, all the way down, but for those that libc has."""
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    found = [Path(line.split()[2]) for line in listed.splitlines() if "=> /" in line]
    return [path for path in found if not path.name.startswith(_LIBC)]


_LIBC = ("libc.so", "libm.so", "libpthread.so", "libdl.so", "librt.so", "ld-linux")


def _put(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)
