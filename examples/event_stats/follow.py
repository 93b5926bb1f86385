#!/usr/bin/env python3
"""Follow an event's audience: viewers now and at the peak, start-up time, stalls, bytes sent.

`AnalyticsService.WatchEventStats` is a server stream: it answers at once and again whenever a
figure changes, at most once a second.
"""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import grpc
from odeon.analytics.v1 import analytics_pb2, analytics_pb2_grpc

Stats = analytics_pb2.EventStats


async def follow(
    channel: grpc.aio.Channel, api_key: str, event: str, line: Callable[[Stats], str]
) -> None:
    """Print the event's figures as they change.

    Raises:
        grpc.aio.AioRpcError: refused, or the connection broke.
    """
    calls = analytics_pb2_grpc.AnalyticsServiceStub(channel).WatchEventStats(
        analytics_pb2.WatchEventStatsRequest(event=f"events/{event}"),
        metadata=(("authorization", f"Bearer {api_key}"),),
    )
    async for answer in calls:
        print(line(answer.stats), flush=True)


def as_text(stats: Stats) -> str:
    """One line for people."""
    return (
        f"{stats.concurrent_viewers} watching (peak {stats.peak_concurrent_viewers}), "
        f"first picture after {stats.startup_time_p95.ToTimedelta().total_seconds():.1f} s (p95), "
        f"{stats.rebuffer_ratio:.2%} stalled, {stats.egress_bytes / 1e6:.1f} MB sent"
    )


def as_json(stats: Stats) -> str:
    """One line for programs."""
    record = {
        "concurrent_viewers": stats.concurrent_viewers,
        "peak_concurrent_viewers": stats.peak_concurrent_viewers,
        "unique_viewers": stats.unique_viewers,
        "watch_time_s": stats.watch_time.ToTimedelta().total_seconds(),
        "startup_p95_s": stats.startup_time_p95.ToTimedelta().total_seconds(),
        "rebuffer_ratio": stats.rebuffer_ratio,
        "egress_bytes": stats.egress_bytes,
        "as_of": stats.as_of.ToJsonString(),
    }
    return json.dumps(record)


def open_channel(url: str, address: str, ca_file: str | None) -> grpc.aio.Channel:
    """A channel to the gateway's gRPC port; with TLS when the gateway's URL has it."""
    if not url.startswith("https:"):
        return grpc.aio.insecure_channel(address)
    authorities = Path(ca_file).read_bytes() if ca_file else None
    return grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(authorities))


async def main() -> None:
    """Read the command line and the environment that `odeon env` prints."""
    parser = argparse.ArgumentParser(description="Follow an event's audience.")
    parser.add_argument("event", help="event id, e.g. demo")
    parser.add_argument("--seconds", type=float, help="stop after so long")
    parser.add_argument("--json", action="store_true", help="print JSON lines")
    options = parser.parse_args()
    try:
        url, address = os.environ["ODEON_URL"], os.environ["ODEON_GRPC"]
        api_key = os.environ["ODEON_API_KEY"]
    except KeyError as missing:
        sys.exit(f'error: {missing} is not set; run: eval "$(odeon env)"')
    line = as_json if options.json else as_text
    async with open_channel(url, address, os.environ.get("ODEON_CA_FILE")) as channel:
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(options.seconds):
                    await follow(channel, api_key, options.event, line)
        except grpc.aio.AioRpcError as error:
            sys.exit(f"error: {error.code().name}: {error.details()}")


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main())
