"""The `odeon` command. Each subcommand imports what it needs when it runs: `--help` stays quick."""

import asyncio
import os
from collections.abc import Coroutine
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from odeon_loadtest.main import app as loadtest_app
from typer.core import TyperGroup

from odeon_cli.console import CliError, show_error
from odeon_cli.kinds import TokenKind
from odeon_cli.scaling.main import app as scaling_app


class _Group(TyperGroup):
    """Shows a CliError as a sentence and the way out; no traceback."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Remember whether scripts read what comes."""
        ctx.obj = "--json" in args
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except CliError as error:
            show_error(error, as_json=bool(ctx.obj))
            raise typer.Exit(1) from None


app = typer.Typer(
    cls=_Group,
    name="odeon",
    help="A self-hosted interactive live video cloud.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=bool(os.environ.get("ODEON_DEBUG")),
)
events_app = typer.Typer(help="Events of a deployment.", no_args_is_help=True)
app.add_typer(events_app, name="events")
app.add_typer(loadtest_app, name="loadtest")
app.add_typer(scaling_app, name="scaling")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Data directory of the `odeon up` meant.")
]
Url = Annotated[str, typer.Option("--url", envvar="ODEON_URL", help="Gateway of a deployment.")]
ApiKey = Annotated[str, typer.Option("--api-key", envvar="ODEON_API_KEY", help="Its API key.")]
CaFile = Annotated[
    str, typer.Option("--ca-file", envvar="ODEON_CA_FILE", help="Authority to trust, PEM file.")
]
_TIMES = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M%z"]


def _run(work: Coroutine[Any, Any, None]) -> None:
    try:
        asyncio.run(work)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


@app.command()
def up(
    data_dir: Annotated[
        Path | None, typer.Option(help="Keep data here; a temporary directory by default.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address that browsers reach.")] = "127.0.0.1",
    port_base: Annotated[
        int | None, typer.Option(help="First port of the block used; 0 takes any free ones.")
    ] = None,
    edges: Annotated[int, typer.Option(help="How many edges; edge n gets 127.0.0.n.")] = 1,
    transcoders: Annotated[int, typer.Option(help="How many transcoders.")] = 1,
    tls: Annotated[bool, typer.Option("--tls", help="HTTPS with a local authority.")] = False,
    no_demo: Annotated[bool, typer.Option("--no-demo", help="Without the demo event.")] = False,
    demo_size: Annotated[
        str, typer.Option(help="Size of the demo's picture, e.g. 640x360; else what fits the CPU.")
    ] = "",
    demo_frame_rate: Annotated[
        int, typer.Option(min=1, max=60, help="Pictures per second of the demo.")
    ] = 30,
    no_open: Annotated[bool, typer.Option("--no-open", help="Open no page.")] = False,
    log_level: Annotated[str, typer.Option(help="Of the services.")] = "info",
    as_json: AsJson = False,
) -> None:
    """Run a whole deployment on this machine until Ctrl-C."""
    from odeon_cli.up.deployment import UpOptions, run_deployment

    options = UpOptions(
        data_dir=data_dir,
        host=host,
        port_base=port_base,
        edges=edges,
        transcoders=transcoders,
        tls=tls,
        demo=not no_demo,
        demo_size=demo_size,
        demo_frame_rate=demo_frame_rate,
        as_json=as_json,
        open_page=not no_open,
        log_level=log_level,
    )
    _run(run_deployment(options))


@app.command()
def publish(
    file: Annotated[Path | None, typer.Argument(help="Media file, looped in real time.")] = None,
    test_card: Annotated[
        bool, typer.Option("--test-card", help="A picture that shows its clock, and beeps.")
    ] = False,
    url: Annotated[
        str, typer.Option("--url", envvar="ODEON_PUBLISH_URL", help="WHIP endpoint.")
    ] = "",
    token: Annotated[
        str, typer.Option("--token", envvar="ODEON_PUBLISH_TOKEN", help="Publish token.")
    ] = "",
    size: Annotated[str, typer.Option(help="Of the test card.")] = "1280x720",
    frame_rate: Annotated[int, typer.Option(min=1, max=60, help="Of the test card.")] = 30,
    bitrate: Annotated[int, typer.Option(min=0, help="Bits per second; 0 fits the size.")] = 0,
    skew_ms: Annotated[float, typer.Option(help="Delay of the beeps, to test checks.")] = 0.0,
    title: Annotated[str, typer.Option(help="Shown on the test card.")] = "Odeon",
    duration: Annotated[
        float | None, typer.Option(min=0.1, help="Stop after this many seconds.")
    ] = None,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between reports.")] = 1.0,
    data_dir: DataDir = None,
    ca_file: CaFile = "",
    as_json: AsJson = False,
) -> None:
    """Publish a file or the test card by WHIP; to the running `odeon up` unless told otherwise."""
    from odeon_cli.publish.command import PublishOptions
    from odeon_cli.publish.command import publish as run_publish

    options = PublishOptions(
        file=file,
        test_card=test_card,
        url=url,
        token=token,
        ca_file=ca_file,
        data_dir=data_dir,
        size=size,
        frame_rate=frame_rate,
        bitrate=bitrate,
        skew_ms=skew_ms,
        title=title,
        duration_s=duration,
        every_s=every,
        as_json=as_json,
    )
    _run(run_publish(options))


@app.command()
def watch(
    url: Annotated[str, typer.Argument(help="Playlist or WHEP address.")] = "",
    whep: Annotated[
        bool, typer.Option("--whep", help="The demo by WebRTC instead of HLS.")
    ] = False,
    token: Annotated[
        str, typer.Option("--token", envvar="ODEON_PLAYBACK_TOKEN", help="For a WHEP address.")
    ] = "",
    rendition: Annotated[str, typer.Option(help="Track to watch, e.g. v480; else the best.")] = "",
    seconds: Annotated[float | None, typer.Option(min=0.1, help="Stop after so long.")] = None,
    data_dir: DataDir = None,
    ca_file: CaFile = "",
    as_json: AsJson = False,
) -> None:
    """Play an event as a viewer would and print latency, bitrate, stalls and gaps."""
    from odeon_cli.watch.command import WatchOptions
    from odeon_cli.watch.command import watch as run_watch

    options = WatchOptions(
        url=url,
        whep=whep,
        token=token,
        rendition=rendition,
        ca_file=ca_file,
        data_dir=data_dir,
        seconds=seconds,
        as_json=as_json,
    )
    _run(run_watch(options))


@app.command()
def token(
    kind: Annotated[TokenKind, typer.Argument(help="What it is good for.")],
    event: Annotated[str, typer.Argument(help="Event id.")],
    identity: Annotated[str, typer.Option(help="Who holds it; made up by default.")] = "",
    name: Annotated[str, typer.Option(help="Display name.")] = "",
    role: Annotated[str, typer.Option(help="E.g. host, guest, viewer.")] = "",
    ttl: Annotated[int, typer.Option(min=0, help="Seconds; 0 for the kind's default.")] = 0,
    url: Url = "",
    api_key: ApiKey = "",
    data_dir: DataDir = None,
    ca_file: CaFile = "",
    as_json: AsJson = False,
) -> None:
    """Issue a token for an event."""
    from odeon_cli.target import find_target
    from odeon_cli.token import TokenOptions, issue_token

    options = TokenOptions(
        kind=kind, event=event, identity=identity, name=name, role=role, ttl_s=ttl, as_json=as_json
    )
    _run(issue_token(find_target(url, api_key, ca_file, data_dir), options))


@events_app.command("list")
def events_list(
    url: Url = "",
    api_key: ApiKey = "",
    data_dir: DataDir = None,
    ca_file: CaFile = "",
    as_json: AsJson = False,
) -> None:
    """List events, the newest first."""
    from odeon_cli.events import list_events
    from odeon_cli.target import find_target

    _run(list_events(find_target(url, api_key, ca_file, data_dir), as_json=as_json))


@events_app.command("create")
def events_create(
    title: Annotated[str, typer.Argument(help="Shown to the audience.")],
    event_id: Annotated[str, typer.Option("--id", help="Made up by default.")] = "",
    profile: Annotated[str, typer.Option(help="Ladder profile.")] = "",
    start: Annotated[bool, typer.Option("--start", help="Set it live at once.")] = False,
    at: Annotated[
        datetime | None, typer.Option(formats=_TIMES, metavar="TIME", help="Planned start.")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(formats=_TIMES, metavar="TIME", help="Planned end.")
    ] = None,
    viewers: Annotated[
        int, typer.Option("--expected-viewers", min=0, help="At once; capacity is made for them.")
    ] = 0,
    url: Url = "",
    api_key: ApiKey = "",
    data_dir: DataDir = None,
    ca_file: CaFile = "",
    as_json: AsJson = False,
) -> None:
    """Create an event and print its links."""
    from odeon_cli.events import create_event, planned
    from odeon_cli.target import find_target

    target = find_target(url, api_key, ca_file, data_dir)
    event = planned(title=title, profile=profile, at=at, until=until, viewers=viewers)
    _run(create_event(target, event=event, event_id=event_id, start=start, as_json=as_json))


@events_app.command("end")
def events_end(
    event: Annotated[str, typer.Argument(help="Event id.")],
    url: Url = "",
    api_key: ApiKey = "",
    data_dir: DataDir = None,
    ca_file: CaFile = "",
    as_json: AsJson = False,
) -> None:
    """End an event; its recording stays under the same address."""
    from odeon_cli.events import end_event
    from odeon_cli.target import find_target

    target = find_target(url, api_key, ca_file, data_dir)
    _run(end_event(target, event=event, as_json=as_json))


@app.command()
def env(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Print the running deployment as shell variables: eval "$(odeon env)"."""
    from odeon_cli.env import print_env

    print_env(data_dir, as_json=as_json)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Say what this machine lacks and how to get it."""
    from odeon_cli.doctor import doctor as run_doctor

    run_doctor(as_json=as_json)
