"""Design points of a filtered sequence of noise: the same excitation at every time, with either sign."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

import physsynth as ps
from physsynth.rare.evaluator import Evaluator
from physsynth.rare.images import with_images
from physsynth.rare.planes import Planes, planes_from

STEPS, LEVEL = 40, 4.0
# Impulse response of a lightly damped oscillator, of norm 1: x_t = sum_s h_s u_(t - s)
RESPONSE = np.exp(-0.1 * np.arange(12)) * np.sin(0.9 * np.arange(1, 13))
RESPONSE /= np.linalg.norm(RESPONSE)
FILTER = np.array([np.pad(RESPONSE, (t, STEPS))[:STEPS] for t in range(STEPS)]).T


def first_passage(p):
    return LEVEL - jnp.abs(jnp.asarray(FILTER) @ p["u"]).max()


def evaluator(g):
    return Evaluator(g, ps.ParameterSpace.standard_normal(STEPS), 100_000)


def test_one_design_point_leads_to_those_at_all_times():
    g = evaluator(first_passage)
    one = planes_from(g, FILTER[20][None] * LEVEL)
    assert len(one.bound) == 1
    before = g.cost
    planes = with_images(g, one)
    # once the response is whole, the plane of each time lies at LEVEL, its direction the filter's row
    known = np.abs(planes.direction @ FILTER[11:].T)
    assert np.all(known.max(axis=0) > 0.96)
    assert planes.bound.min() == pytest.approx(LEVEL, rel=1e-3)
    signs = planes.direction @ FILTER[25]
    assert signs.max() > 0.96
    assert signs.min() < -0.96
    # about ten gradients of three calls, and the calls that look, for each of the 58 planes
    assert g.cost - before < 58 * 40


def test_where_there_are_no_images_only_a_few_calls_are_lost():
    g = evaluator(lambda p: LEVEL - p["u"][0])
    one = Planes(np.eye(STEPS)[:1], np.array([LEVEL]), np.ones(1, bool))
    planes = with_images(g, one)
    assert np.array_equal(planes.direction, one.direction)
    assert g.cost <= 8
