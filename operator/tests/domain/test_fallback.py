from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from odeon_operator.domain.fallback import Fallback, FallbackBehavior, in_the_dark

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
S = timedelta(seconds=1)


@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 50), st.integers(0, 50))
def test_unknown_load_never_wants_fewer_pods_than_stand(
    replicas: int, current: int, standing: int, seconds: int
) -> None:
    for behavior in FallbackBehavior:
        fallback = Fallback(20 * S, behavior, replicas)
        due = fallback.due(NOW - seconds * S, NOW)

        wanted = in_the_dark(fallback, due=due, current=current, standing=standing)

        assert due == (seconds >= 20)
        assert wanted >= standing
        assert wanted <= max(replicas, current, standing)


def test_the_fallbacks_differ_in_what_they_raise_and_replace() -> None:
    def wanted(behavior: FallbackBehavior, replicas: int) -> int:
        return in_the_dark(Fallback(0 * S, behavior, replicas), due=True, current=8, standing=6)

    assert wanted(FallbackBehavior.HOLD, 20) == 8
    assert wanted(FallbackBehavior.STATIC, 7) == 7
    assert wanted(FallbackBehavior.STATIC, 2) == 6
    assert wanted(FallbackBehavior.CURRENT_IF_HIGHER, 7) == 8
    assert wanted(FallbackBehavior.CURRENT_IF_HIGHER, 20) == 20
