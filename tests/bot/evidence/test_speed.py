"""The ranking keeps its speed; limits are several times what one core needs, so that only a change of order shows."""

import time

import numpy as np
import pytest

from bot.domain.evidence import Evidence, SeriesBody, ServiceSeries, Signal
from bot.domain.scope import Edge
from bot.domain.series import Series
from bot.evidence.rank import rank
from tests.bot.evidence.incidents import START, scope

SIGNALS = (Signal.LATENCY, Signal.ERRORS, Signal.TRAFFIC, Signal.CPU, Signal.MEMORY, Signal.SATURATION)


@pytest.mark.parametrize(("measures", "points", "limit_s"), [(18, 60, 0.3), (200, 240, 4.0)])
def test_many_series_are_ranked_fast(measures: int, points: int, limit_s: float) -> None:
    span = scope("s0", edges=[Edge(caller=f"s{n}", callee=f"s{n + 1}") for n in range(49)])
    step = span.whole.duration_s / points
    draw = np.random.default_rng(1)
    evidence = [
        Evidence(
            id=f"E{m}",
            title="",
            source="",
            query="",
            window=span.whole,
            body=SeriesBody(
                signal=SIGNALS[m % len(SIGNALS)],
                measure=f"m{m}",
                unit="",
                series=tuple(
                    ServiceSeries(service=f"s{n}", series=Series(start_s=START, step_s=step, values=tuple(row)))
                    for n, row in enumerate(draw.normal(10, 1, (50, points)).tolist())
                ),
            ),
        )
        for m in range(measures)
    ]

    begun = time.perf_counter()
    rank(span, evidence)

    assert time.perf_counter() - begun < limit_s
