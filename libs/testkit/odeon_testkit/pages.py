"""Odeon's pages in a real browser: opened, waited for, and held to their security policy."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from odeon_testkit.chromium import chromium
from odeon_testkit.wait import until

STEP_S = 45.0
"""One step of a page on a busy machine; a healthy one takes a fraction."""

GLASS = "() => window.__odeon?.glass?.samples.length ?? 0"
"""Frames of the test card that the page has presented and read."""
PLAYED = "() => document.querySelector('video')?.currentTime ?? 0"
"""Position of the page's player, seconds."""

_STATE = """() => {
  const video = document.querySelector('video')
  return JSON.stringify({
    at: video?.currentTime, of: video?.duration, ready: video?.readyState,
    paused: video?.paused, ended: video?.ended, error: video?.error?.message,
    buffered: Array.from({ length: video?.buffered.length ?? 0 },
      (_, i) => [video.buffered.start(i), video.buffered.end(i)]),
    text: document.body.innerText.slice(0, 500),
  })
}"""
"""What the page shows, for the message of a test that waited in vain."""

_MARK = "odeon-policy-violation "
_REPORT = f"""document.addEventListener('securitypolicyviolation', (e) => console.error(
  '{_MARK}' + [e.effectiveDirective, e.blockedURI, e.sourceFile + ':' + e.lineNumber].join(' ')))"""


class PolicyViolated(AssertionError):
    """A page did what its Content-Security-Policy forbids."""


@asynccontextmanager
async def strict_browser(*flags: str, locale: str = "en-US") -> AsyncIterator[Any]:
    """A browser (context) whose pages must keep to their Content-Security-Policy.

    Raises:
        PolicyViolated: at the end, when a page did not.
    """
    violations: list[str] = []

    def hear(message: Any) -> None:
        if message.text.startswith(_MARK):
            violations.append(f"{message.page.url if message.page else '?'}: {message.text}")

    async with chromium(*flags, locale=locale) as context:
        context.set_default_timeout(STEP_S * 1000)
        context.on("console", hear)
        await context.add_init_script(_REPORT)
        yield context
        for page in context.pages:  # What they said before is heard before they answer.
            await page.evaluate("0")
    if violations:
        raise PolicyViolated("\n".join(violations))


def debugged(url: str) -> str:
    """The address of a page that tells what it measures (`window.__odeon`)."""
    return url.replace("#", "?debug=1#")


async def holds(page: Any, script: str, *, timeout_s: float = STEP_S) -> None:
    """Return when `script` is true on the page.

    Raises:
        TimeoutError: it did not become true in time; its notes say what the page shows.
    """

    async def true() -> bool:
        return bool(await page.evaluate(script))

    try:
        await until(true, timeout_s=timeout_s)
    except TimeoutError as late:
        late.add_note(f"{script}; {await page.evaluate(_STATE)}")
        raise


async def grows(page: Any, script: str, *, by: float) -> None:
    """Return when what `script` tells has grown by so much."""
    start = await page.evaluate(script)
    await holds(page, f"() => ({script})() >= {start + by}")
