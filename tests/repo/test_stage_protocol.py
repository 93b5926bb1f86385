"""The stage protocol holds nothing that nobody says or hears."""

import ast
from pathlib import Path

from odeon.signaling.v1 import stage_pb2

NODE = Path(__file__).resolve().parents[2] / "services/signaling/odeon_signaling"


def names_of(message: type) -> set[str]:
    return {field.name for field in message.DESCRIPTOR.fields}  # type: ignore[attr-defined]


def nodes() -> list[ast.AST]:
    return [node for path in NODE.glob("*.py") for node in ast.walk(ast.parse(path.read_text()))]


def test_every_message_of_the_server_is_sent_by_the_node() -> None:
    sent = {
        keyword.arg
        for node in nodes()
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("send", "StageServerMessage")
        for keyword in node.keywords
    }

    assert names_of(stage_pb2.StageServerMessage) - sent == set()


def test_every_message_of_a_client_is_heard_by_the_node() -> None:
    heard = {
        node.value.value
        for node in nodes()
        if isinstance(node, ast.MatchValue) and isinstance(node.value, ast.Constant)
    }

    # The first one is not dispatched: it makes the member.
    assert names_of(stage_pb2.StageClientMessage) - heard == {"join"}
