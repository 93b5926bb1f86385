"""SIGKILL between any two writes: nothing acknowledged is lost, the same playlist goes on."""

import asyncio
import hashlib
import json
import random
import sys
from pathlib import Path

import grpc
import httpx
from odeon.recorder.v1 import recorder_pb2_grpc
from odeon_testkit.issuer import Issuer
from odeon_testkit.llhls import LiveChecker, errors
from odeon_testkit.llhls_owner import Owner, audio, video

STEPS = range(1, 80)
"""Disk steps after a start at which a recorder dies, each once. An acquisition and a first segment
of both tracks with its archiving take 72, so each kind of write is cut off from the one before."""
TRACKS = ("v240", "a128")


class Event:
    """An owner that survives its recorder, and everything it was told is stored."""

    def __init__(self, issuer: Issuer) -> None:
        self.token = issuer.service_token("transcoder")
        self.stored: dict[tuple[str, int, int], bytes] = {}
        self.due = dict.fromkeys(TRACKS, (0, 0))
        self.checkers = {track: LiveChecker(track) for track in TRACKS}
        self.owner: Owner | None = None
        self.acquired = False

    async def live_on(
        self, http: httpx.AsyncClient, stub: recorder_pb2_grpc.RecorderServiceStub, rounds: int
    ) -> None:
        """Acquire once, then go on where the acknowledgements stopped."""
        owner = Owner(http=http, stub=stub, token=self.token, stored=self.stored)
        if self.owner is not None:
            owner.epoch = self.owner.epoch
        if not self.acquired:
            await owner.acquire([video("v240", height=240), audio()])
            self.acquired = True
        self.owner = owner
        for _ in range(rounds):
            # As an encoder does it: a track that got no answer is not left ever further behind,
            # for the recorder gives up one that is silent while others close segments.
            behind = min(self.due.values())
            tracks = [track for track in TRACKS if self.due[track] == behind]
            await asyncio.gather(*(self._put_next(owner, track) for track in tracks))

    async def _put_next(self, owner: Owner, track: str) -> None:
        msn, part = self.due[track]
        answer = await owner.put(track, msn, part, last=part == 5)
        assert answer.status_code in (200, 201), (answer.text, self.due)
        self.due[track] = (msn + 1, 0) if part == 5 else (msn, part + 1)

    async def look(self, http: httpx.AsyncClient, *, everything: bool) -> None:
        """Compare hashes of what was acknowledged, and follow the playlists."""
        recent = sorted(self.stored, key=lambda place: place[1:])
        for track, msn, part in recent if everything else recent[-16:]:
            answer = await http.get(f"/acme/launch/{track}/p{msn}.{part}.m4s")
            assert answer.status_code == 200, (track, msn, part)
            expected = hashlib.sha256(self.stored[(track, msn, part)]).digest()
            assert hashlib.sha256(answer.content).digest() == expected
        for track, checker in self.checkers.items():
            msn, part = self.due[track]
            if msn == 0:
                continue
            answer = await http.get(f"/acme/launch/{track}/index.m3u8")
            assert errors(checker.feed(answer.status_code, answer.text)) == []
            assert checker.current is not None
            assert checker.current.edge >= (msn, part)


async def test_a_recorder_killed_between_any_two_writes_loses_nothing(tmp_path: Path) -> None:
    issuer, dice = Issuer(), random.Random(4711)
    spool = tmp_path / "recorder" / "spool"
    spool.mkdir(parents=True)
    (spool / "trusted-keys.json").write_text(issuer.jwks_json)
    script = Path(__file__).with_name("crash_zygote.py")
    zygote = await asyncio.create_subprocess_exec(
        sys.executable, str(script), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert zygote.stdin and zygote.stdout
    event, died = Event(issuer), 0
    try:
        for crash_at in [*dice.sample(STEPS, len(STEPS)), 0]:
            last = crash_at == 0
            order = {"data_dir": str(tmp_path), "crash_at": crash_at, "torn": dice.random() < 0.5}
            zygote.stdin.write(json.dumps(order).encode() + b"\n")
            ready = json.loads(await zygote.stdout.readline())
            if ready is None:
                died += 1
                continue
            async with (
                grpc.aio.insecure_channel(ready["grpc"]) as channel,
                httpx.AsyncClient(base_url=f"http://{ready['http']}", timeout=10) as http,
            ):
                stub = recorder_pb2_grpc.RecorderServiceStub(channel)
                try:
                    if event.stored:
                        await event.look(http, everything=last)
                    await event.live_on(http, stub, rounds=3 if last else 200)
                    await event.look(http, everything=last)
                except (httpx.TransportError, grpc.aio.AioRpcError) as error:
                    assert not last, error
                    died += 1
    finally:
        zygote.stdin.close()
        await zygote.wait()

    assert died == len(STEPS)
    assert len(event.stored) > 50
