"""The pipe between a job process and its parent."""

import json
import random

import pytest
from odeon_transcoder import messages
from odeon_transcoder.messages import MalformedMessage, decode, encode

EXAMPLES: list[messages.Command | messages.Report] = [
    messages.Start("jobs/j", "acme", "launch", "default", "http://r", "t", "127.0.0.1"),
    messages.Join(),
    messages.Offer("v=0\r\n", 3),
    messages.Tracks(
        (messages.StageTrack("s.0", "alice", "爱丽丝", "video", "camera", layers=("q", "h")),)
    ),
    messages.Speaker(""),
    messages.Layout("grid", labels=True),
    messages.Granted(
        2, 17, 33.25, (messages.Rendition("v360", "video", "avc1", 1, 2, 3, 15.0, 0.334, 2),)
    ),
    messages.NothingWritten(),
    messages.Refused("TIMELINE_ENDED"),
    messages.Token("x"),
    messages.Finish(flush=False),
    messages.Hello(4711),
    messages.Answer("v=0\r\n", 3),
    messages.Acquire((messages.Rendition("v360", "video", "avc1", 1, 2, 3, 15.0, 0.334, 2),)),
    messages.Acquire(),
    messages.WantLayer("s.0", "h"),
    messages.WantToken(),
    messages.MediaLost("ICE_FAILED"),
    messages.Status(epoch=3, rungs=(messages.Rung("v720", False, "BEHIND"),), ack_p95_s=0.2),
    messages.Status(),
    messages.Ended("STOPPED"),
]  # fmt: skip


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda m: type(m).__name__)
def test_a_message_survives_the_pipe(message: messages.Command | messages.Report) -> None:
    line = encode(message)

    assert line.endswith(b"\n") and line.count(b"\n") == 1
    assert decode(line) == message


@pytest.mark.parametrize(
    "line",
    [
        b"", b"{", b"[]", b"null", b'"x"', b"{}", b'{"type":"Nothing"}', b'{"type":"Hello"}',
        b'{"type":"Hello","pid":"7"}', b'{"type":"Hello","pid":true}', b'{"type":["Hello"]}',
        b'{"type":"Hello","pid":7,"more":1}', b'{"type":"Tracks","tracks":[7]}', b"\xff\xfe",
        b'{"type":"Tracks","tracks":{"a":1}}', b'{"type":"Status","tracks":[1]}',
    ],
)  # fmt: skip
def test_anything_else_is_malformed_and_nothing_worse(line: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decode(line)


def test_bent_messages_are_malformed_or_messages() -> None:
    random_ = random.Random(11)
    for _ in range(3000):
        line = bytearray(encode(random_.choice(EXAMPLES)))
        for _ in range(random_.randint(1, 4)):
            line[random_.randrange(len(line))] = random_.randrange(256)
        try:
            decode(bytes(line))
        except MalformedMessage:
            continue


def test_a_deeply_nested_object_is_malformed() -> None:
    with pytest.raises(MalformedMessage):
        decode(json.dumps({"type": "Status", "tracks": {"a": {"b": {"c": 1}}}}).encode())
