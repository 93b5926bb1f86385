"""Events of the API server, through kopf.

kopf runs in a thread with a loop of its own: it takes over the signals of the loop that it runs in,
and when it ends it cancels every task that was started since. Nothing but `on.event` handlers is
registered: daemons, timers, creation and deletion handlers write annotations or finalizers, and a
finalizer makes an uninstall hang when the operator is gone.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any

import kopf
from odeon_runtime.logs import logger

from odeon_operator.adapters.kube.client import Object, login
from odeon_operator.adapters.kube.cluster import PLURALS, POOL_LABEL
from odeon_operator.adapters.kube.picture import NODE, POD

Deliver = Callable[[str, str | None, Object], None]
"""Takes the kind, what happened ("ADDED", "MODIFIED", "DELETED", None for a list), the object."""
_AGAIN_S = 1.0
_STOP_S = 5.0
_CHUNK = 500
_log = logger(__name__)


class KubeWatch:
    """Watches everything that the operator looks at.

    Args:
        deliver: called in the loop that `run` runs in.
        namespace: watched alone; empty: all.
    """

    def __init__(self, deliver: Deliver, *, namespace: str = "") -> None:
        self._deliver = deliver
        self._namespace = namespace

    async def run(self) -> None:
        """Watch for ever. kopf ends where it finds no API server at its start; it is begun anew."""
        logging.getLogger("kopf").setLevel(logging.WARNING)
        while True:
            stop, ended = threading.Event(), asyncio.Event()
            loop = asyncio.get_running_loop()
            thread = threading.Thread(
                target=self._watch, args=(loop, stop, ended), name="kopf", daemon=True
            )
            thread.start()
            try:
                await ended.wait()
            finally:
                stop.set()
                await asyncio.to_thread(thread.join, _STOP_S)
            _log.warning("watch_ended", again_s=_AGAIN_S)
            await asyncio.sleep(_AGAIN_S)

    def _watch(
        self, loop: asyncio.AbstractEventLoop, stop: threading.Event, ended: asyncio.Event
    ) -> None:
        where: dict[str, Any] = {"clusterwide": True}
        if self._namespace:
            where = {"namespaces": [self._namespace]}
        try:
            asyncio.run(
                kopf.operator(
                    registry=self._registry(loop),
                    settings=_settings(),
                    standalone=True,
                    stop_flag=stop,
                    **where,
                )
            )
        except Exception as error:
            _log.warning("watch_failed", error=repr(error))
        finally:
            # The loop is closed when the whole process ends.
            if not loop.is_closed():
                loop.call_soon_threadsafe(ended.set)

    def _registry(self, loop: asyncio.AbstractEventLoop) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()
        kopf.on.login(registry=registry)(_login)
        for kind, plural in PLURALS.items():
            kopf.on.event("odeon.live", "v1alpha1", plural, registry=registry, id=plural)(
                self._handler(kind, loop)
            )
        kopf.on.event("", "v1", "pods", registry=registry, id="pods")(self._handler(POD, loop))
        kopf.on.event("", "v1", "nodes", registry=registry, id="nodes")(self._handler(NODE, loop))
        return registry

    def _handler(self, kind: str, loop: asyncio.AbstractEventLoop) -> Callable[..., Any]:
        async def heard(event: Any, **_: Any) -> None:
            loop.call_soon_threadsafe(self._deliver, kind, event["type"], event["object"])

        return heard


async def _login(**_: Any) -> kopf.ConnectionInfo:
    return login()


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.process.ultimate_exiting_timeout = None
    settings.networking.request_timeout = 10
    settings.networking.connect_timeout = 5
    settings.watching.connect_timeout = 5
    settings.watching.chunk_size = _CHUNK
    settings.watching.label_selectors["", "v1", "pods"] = POOL_LABEL
    settings.queueing.exit_timeout = 1
    return settings
