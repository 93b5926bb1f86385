import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from google.rpc import error_details_pb2
from odeon.recorder.v1 import recorder_pb2_grpc
from odeon_recorder.__main__ import start
from odeon_recorder.adapters.disk import Disk
from odeon_recorder.settings import RecorderSettings
from odeon_runtime.status import error_info
from odeon_testkit.issuer import SERVICE_SECRET, Issuer, auth_server
from odeon_testkit.llhls_owner import Owner
from odeon_testkit.wait import until


@dataclass
class Running:
    """A recorder of a test, in this process, over real sockets."""

    issuer: Issuer
    http: httpx.AsyncClient
    stub: Any
    settings: RecorderSettings

    def owner(self, **given: Any) -> Owner:
        token = self.issuer.service_token("transcoder")
        return Owner(http=self.http, stub=self.stub, token=token, **given)

    def as_tenant(self, tenant: str = "acme") -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.issuer.api_token(tenant=tenant)}"),)


RecorderAt = Callable[..., AbstractAsyncContextManager[Running]]


async def eventually(condition: Callable[[], bool], *, limit_s: float = 20) -> None:
    """Return when `condition` holds."""

    async def holds() -> bool:
        return condition()

    await until(holds, timeout_s=limit_s)


def info_of(error: grpc.aio.AioRpcError) -> error_details_pb2.ErrorInfo:
    """The ErrorInfo that a refused call must carry."""
    info = error_info(error)
    assert info is not None
    return info


@asynccontextmanager
async def recorder_on(
    folder: Path, issuer: Issuer, disk: Disk | None = None, **settings: Any
) -> AsyncIterator[Running]:
    async with AsyncExitStack() as stack:
        auth, _ = await stack.enter_async_context(auth_server(issuer))
        made = RecorderSettings(
            data_dir=folder, auth_address=auth, service_secret=SERVICE_SECRET, **settings
        )
        addresses = await stack.enter_async_context(start(made, disk))
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(addresses["grpc"]))
        base = f"http://{addresses['http']}"
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=base, timeout=20))
        yield Running(issuer, http, recorder_pb2_grpc.RecorderServiceStub(channel), made)


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in os.environ if n.startswith("ODEON_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def recorder_at(issuer: Issuer) -> RecorderAt:
    """Starts a recorder on a folder: `async with recorder_at(folder, setting=…)`."""
    return lambda folder, **settings: recorder_on(folder, issuer, **settings)


@pytest.fixture
async def recorder(tmp_path: Path, issuer: Issuer) -> AsyncIterator[Running]:
    async with recorder_on(tmp_path, issuer) as running:
        yield running
