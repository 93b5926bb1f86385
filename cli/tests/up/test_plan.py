"""Which processes a deployment has, and how they are told of each other."""

from dataclasses import replace
from pathlib import Path

import pytest
from odeon_cli.console import CliError
from odeon_cli.up import plan
from odeon_cli.up.tls import TlsFiles, make_certificate


@pytest.fixture(autouse=True)
def edge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "odeon-edge"
    program.touch()
    monkeypatch.setenv("ODEON_EDGE_PROGRAM", str(program))


def layout(
    tmp_path: Path, *, edges: int = 1, transcoders: int = 1, tls: bool = False
) -> plan.Layout:
    names = plan.port_names(edges, transcoders)
    return plan.Layout(
        host="127.0.0.1",
        ports={name: 9000 + index for index, name in enumerate(names)},
        data_dir=tmp_path,
        edges=edges,
        transcoders=transcoders,
        service_secret="s3cret",
        api_key="odk_x_y",
        tls=made_here(tmp_path / "tls") if tls else None,
    )


def made_here(folder: Path) -> TlsFiles:
    return make_certificate(folder, ["127.0.0.1"], authority_in=folder)


def specs(made: plan.Layout) -> dict[str, dict[str, str]]:
    waves = [*plan.first_wave(made), *plan.second_wave(made)]
    return {spec.name: dict(spec.env) for spec in waves}


def test_no_two_servers_share_a_port(tmp_path: Path) -> None:
    ports = layout(tmp_path, edges=3, transcoders=2).ports

    assert len(set(ports.values())) == len(ports)


def test_all_edges_share_one_port_on_addresses_of_their_own(tmp_path: Path) -> None:
    made = layout(tmp_path, edges=3)

    port = made.ports["edge"]
    assert made.edge_urls == tuple(f"http://127.0.0.{n}:{port}" for n in (1, 2, 3))
    envs = specs(made)
    assert [envs[f"edge-{n}"]["ODEON_EDGE_LISTEN"] for n in (1, 2, 3)] == [
        f"127.0.0.{n}:{port}" for n in (1, 2, 3)
    ]
    admins = {envs[f"edge-{n}"]["ODEON_EDGE_ADMIN_LISTEN"] for n in (1, 2, 3)}
    assert len(admins) == 3


def test_every_service_knows_the_others_before_any_has_started(tmp_path: Path) -> None:
    made = layout(tmp_path)

    room = specs(made)["room"]

    assert room["ODEON_AUTH_ADDRESS"] == f"127.0.0.1:{made.ports['auth']}"
    assert room["ODEON_ROOM_GRPC_PORT"] == str(made.ports["room"])
    assert room["ODEON_NATS_URL"] == made.nats_url
    assert room["ODEON_PUBLIC_URL"] == made.gateway_url


def test_transcoders_have_names_that_stay_the_same_over_restarts(tmp_path: Path) -> None:
    envs = specs(layout(tmp_path, transcoders=2))

    names = [envs[f"transcoder-{n}"]["ODEON_TRANSCODER_WORKER"] for n in (1, 2)]
    assert names == ["transcoder-1", "transcoder-2"]


def test_with_tls_gateway_and_edges_get_the_certificate(tmp_path: Path) -> None:
    made = layout(tmp_path, tls=True)

    envs = specs(made)

    assert made.gateway_url.startswith("https://")
    assert all(url.startswith("https://") for url in made.edge_urls)
    assert Path(envs["gateway"]["ODEON_GATEWAY_TLS_CERT"]).is_file()
    assert Path(envs["edge-1"]["ODEON_EDGE_TLS_KEY"]).is_file()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "example", ""])
def test_a_host_that_nobody_can_reach_is_refused(host: str) -> None:
    with pytest.raises(CliError):
        plan.check_host(host)


@pytest.mark.parametrize(
    ("host", "tls", "hidden"),
    [
        ("127.0.0.1", False, False),
        ("::1", False, False),
        ("192.0.2.7", False, True),
        ("192.0.2.7", True, False),
    ],
)
def test_browsers_give_cameras_to_this_machine_and_over_https_only(
    tmp_path: Path, host: str, tls: bool, hidden: bool
) -> None:
    assert plan.hides_cameras(replace(layout(tmp_path, tls=tls), host=host)) is hidden


def test_several_edges_need_loopback(tmp_path: Path) -> None:
    with pytest.raises(CliError) as refusal:
        plan.edge_hosts("192.0.2.7", 2)

    assert "--host" in refusal.value.hint


def test_an_edge_that_was_not_built_is_told_with_the_way_to_build_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ODEON_EDGE_PROGRAM", str(tmp_path / "missing"))
    monkeypatch.setenv("CARGO_TARGET_DIR", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))

    (tmp_path / "odeon-edge").unlink()
    with pytest.raises(CliError) as refusal:
        plan.edge_program()

    assert "make setup" in refusal.value.hint
