from datetime import UTC, datetime, timedelta
from fractions import Fraction

from odeon_operator.domain.cold_start import ColdStarts, lead

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
S = timedelta(seconds=1)


def test_the_lead_is_the_learned_p95_with_safety_and_patient_before_it_learned() -> None:
    learned = ColdStarts(tuple(float(n) for n in range(1, 101)))

    assert lead(None, learned, Fraction(3, 2)) == 1.5 * 95 * S
    assert lead(None, ColdStarts((10.0,)), Fraction(1)) == 180 * S
    assert lead(None, ColdStarts((400.0,)), Fraction(1)) == 400 * S
    assert lead(60 * S, learned, Fraction(3, 2)) == 60 * S


def test_only_the_last_cold_starts_are_remembered() -> None:
    starts = ColdStarts()
    for _ in range(300):
        starts = starts.learned(500.0)
    for _ in range(200):
        starts = starts.learned(20.0)

    assert len(starts.samples) == 200
    assert starts.quantile(95) == 20 * S
