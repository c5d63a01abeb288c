"""The cheapest plan of ways to measure new members, against every plan there is."""

import itertools
import math

import numpy as np
import pytest

from physsynth.require.screen import Screen
from physsynth.require.ways import compare


def plan(screen, ways, n, costs=None):
    return compare(screen, {f"way {i}": matrix for i, matrix in enumerate(ways)}, n, costs)


def test_a_way_with_a_quarter_of_the_information_pays_at_less_than_a_quarter_of_the_cost():
    screen = Screen(np.eye(1), np.ones(1))
    ways = [np.array([[1.0]]), np.array([[0.25]])]
    dear = plan(screen, ways, 50.0, np.array([1.0, 0.3]))
    assert dear["count"].values.tolist() == [50.0, 0.0]
    cheap = plan(screen, ways, 50.0, np.array([1.0, 0.2]))
    assert cheap["count"].values.tolist() == [0.0, 200.0]
    assert cheap["cost"].values.tolist() == [0.0, 40.0]
    assert cheap["share"].values.tolist() == [0.0, 1.0]


def test_of_equal_ways_the_planned_one_stays():
    table = plan(Screen(np.eye(2), np.ones(2)), [np.eye(2), np.eye(2)], 30.0)
    assert table["count"].values.tolist() == [30.0, 0.0]


@pytest.mark.parametrize("costs", [(1.0, 1.0, 1.0), (2.0, 1.0, 3.0)])
def test_a_mixture_against_all_mixtures(costs):
    """Two ways each tell one of two parameters, the planned one a little of both: none alone is the best."""
    screen = Screen(np.diag([1.0, 2.0]), np.array([1.0, 1.0]))
    ways = [np.diag([0.2, 0.2]), np.diag([1.0, 0.0]), np.diag([0.0, 1.0])]
    table = plan(screen, ways, 40.0, np.array(costs))
    target = screen.variance(ways[0], 40.0)

    def left(counts):
        return screen.variance(sum(k * way for k, way in zip(counts, ways, strict=True)), 1.0)

    counts = table["count"].values
    assert left(counts) <= target * (1 + 1e-9)
    enough = [k for k in itertools.product(range(0, 41, 4), range(30), range(30)) if left(k) <= target]
    least = min(float(np.dot(k, costs)) for k in enough)
    # Placed one by one: a plan may end with one measurement that a plan made at once would not need.
    assert least - 1e-9 <= float(table["cost"].sum()) <= least + max(costs)
    assert float(table["share"].sum()) == pytest.approx(1.0)


def test_ways_that_tell_nothing_are_not_taken():
    table = plan(Screen(np.eye(1), np.ones(1)), [np.eye(1), np.zeros((1, 1))], 10.0, np.array([1.0, 1e-3]))
    assert table["count"].values.tolist() == [10.0, 0.0]
    assert math.isinf(table["equivalent"].values[1])
