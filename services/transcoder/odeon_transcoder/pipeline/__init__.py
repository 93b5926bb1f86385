"""The media work of one job, in a process of its own: decode, compose, encode, package, upload.

Nothing here knows gRPC, NATS or asyncio; the process talks to its parent through a pipe.
"""
