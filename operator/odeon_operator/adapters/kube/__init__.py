"""The API server: its events through kopf, its REST by aiohttp."""
