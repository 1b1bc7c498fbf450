"""When trouble began, per series and for all of them together."""

import numpy as np
import pytest

from bot.evidence.onset import excursions, joint_onset


def z(total: int = 200, since: int = 150, until: int | None = None, size: float = 6.0) -> np.ndarray:
    values = np.random.default_rng(5).standard_normal((1, total))
    values[0, since:until] += size
    return values


@pytest.mark.parametrize("since", [120, 150, 190])
def test_a_step_begins_where_it_begins(since: int) -> None:
    found = excursions(z(since=since), slice(100, 200))

    assert abs(int(found.first[0]) - since) <= 1


def test_a_pulse_that_is_over_is_still_found() -> None:
    found = excursions(z(since=130, until=140), slice(100, 200))

    assert abs(int(found.first[0]) - 130) <= 1
    assert abs(int(found.last[0]) - 139) <= 1


def test_a_window_that_starts_late_does_not_move_the_onset() -> None:
    found = excursions(z(since=140), slice(160, 200))

    assert abs(int(found.first[0]) - 140) <= 1


def test_an_earlier_blip_does_not_become_the_onset() -> None:
    values = z(since=150)
    values[0, 40:45] += 20

    found = excursions(values, slice(100, 200))

    assert abs(int(found.first[0]) - 150) <= 1


def test_gaps_do_not_move_the_onset_by_more_than_themselves() -> None:
    values = z(since=150)
    values[0, 140:152] = np.nan

    assert 138 <= int(excursions(values, slice(100, 200)).first[0]) <= 153


def test_the_common_onset_is_the_earliest_group_that_carries_weight() -> None:
    lone_blip = [(10.0, 0.2)]
    cause = [(100.0, 1.0), (110.0, 1.0), (105.0, 0.5)]
    victims = [(400.0, 1.0), (410.0, 1.0)]

    assert joint_onset(lone_blip + cause + victims, 60) == 105.0


def test_without_departures_there_is_no_onset() -> None:
    assert joint_onset([], 60) is None
    assert joint_onset([(5.0, 0.0)], 60) is None
