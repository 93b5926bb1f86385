"""Trickle ICE fragments, RFC 8840: what a WHIP or WHEP client sends in a PATCH."""

from dataclasses import dataclass

from odeon_runtime.errors import InvalidArgument

MAX_BYTES = 16 * 1024
MAX_CANDIDATES = 50


@dataclass(frozen=True, slots=True)
class SdpFragment:
    """The parts of a fragment that matter here."""

    ufrag: str = ""
    pwd: str = ""
    candidates: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "SdpFragment":
        """Read `a=ice-ufrag`, `a=ice-pwd` and `a=candidate` lines; others are ignored.

        Raises:
            InvalidArgument: too large, too many candidates, or nothing in it.
        """
        if len(text) > MAX_BYTES:
            raise InvalidArgument(field="sdp_fragment", problem=f"over {MAX_BYTES} bytes")
        lines = [line.strip() for line in text.splitlines()]
        candidates = tuple(line[2:] for line in lines if line.startswith("a=candidate:"))
        if len(candidates) > MAX_CANDIDATES:
            raise InvalidArgument(field="sdp_fragment", problem=f"over {MAX_CANDIDATES} candidates")
        fragment = cls(_value(lines, "a=ice-ufrag:"), _value(lines, "a=ice-pwd:"), candidates)
        if fragment == cls() and "a=end-of-candidates" not in lines:
            raise InvalidArgument(field="sdp_fragment", problem="no credentials and no candidates")
        return fragment

    def restarts(self, ufrag: str) -> bool:
        """Whether its credentials are others than those of the present ICE session."""
        return bool(self.ufrag) and self.ufrag != ufrag


def _value(lines: list[str], prefix: str) -> str:
    return next((line[len(prefix) :] for line in lines if line.startswith(prefix)), "")
