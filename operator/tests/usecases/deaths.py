"""What may not happen to pods, and what may happen to operators at any moment."""

from odeon_operator.domain.sight import PodFacts
from odeon_testkit.fleet_world import World


class Killed(BaseException):
    """The process died here."""


def counting_kills(world: World) -> list[str]:
    """Names of pods that are deleted with work in them."""
    killed: list[str] = []

    def look(pod: PodFacts) -> None:
        agent = world.agents.get(pod.uid)
        found = world.api.pods.get(pod.uid)
        unchanged = found is not None and found.revision == pod.revision
        if unchanged and agent is not None and agent.sessions + agent.pulls:
            killed.append(pod.name)

    world.api.before_delete = look
    return killed


def die_at(world: World, steps: int) -> None:
    """The operator dies before or after one of its next writes; 0: it lives."""
    left = steps

    def toll() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise Killed

    world.api.toll = world.kv.toll = toll
