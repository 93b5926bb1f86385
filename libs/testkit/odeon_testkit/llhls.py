"""Our own LL-HLS checker (RFC 8216bis): static rules, live rules, and a player that applies both.

findings = check_static(text)
checker = LiveChecker(); checker.feed(200, text, Asked(msn=3, part=1))
report = await watch("http://…/main.m3u8", 10)
python -m odeon_testkit.llhls URL [SECONDS]
"""

import asyncio
import sys

from odeon_testkit.llhls_live import Asked, LiveChecker, Report, renditions, watch
from odeon_testkit.llhls_model import Finding, Listed, errors, merge, parse
from odeon_testkit.llhls_static import check_presentation, check_static

__all__ = [
    "Asked",
    "Finding",
    "Listed",
    "LiveChecker",
    "Report",
    "check_presentation",
    "check_static",
    "errors",
    "merge",
    "parse",
    "renditions",
    "watch",
]


def main(arguments: list[str]) -> int:
    """Watch a URL and print the findings; 1 if a rule is broken."""
    report = asyncio.run(watch(arguments[0], float(arguments[1]) if arguments[1:] else 20.0))
    for finding in report.findings:
        print(finding)
    print(f"{report.answers} playlists, {report.parts} parts, {report.segments} segments")
    return 1 if errors(report.findings) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
