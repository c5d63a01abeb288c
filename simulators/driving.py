"""Stopping distance: a driver reacts, then brakes at constant deceleration.

    d = v t_r + v^2 / (2 a)

Source: AASHTO (2018), A Policy on Geometric Design of Highways and Streets, 7th ed., section 3.2.2,
eq. 3-2 (in US units there); design values there are t_r = 2.5 s and a = 3.4 m/s^2.
Valid on a dry, level road for 0 < v < 60 m/s.
"""

import numpyro.distributions as dist

from physsynth.core import LimitState, Output, Parameter, define_simulator, increasing, nonnegative, residual


def _work_of_brakes(sim, p, y):
    braking_distance = y["stopping_distance"] - p["speed"] * p["reaction_time"]
    return p["deceleration"] * braking_distance - p["speed"] ** 2 / 2


@define_simulator(
    "driving/braking",
    parameters={
        "speed": Parameter(dist.Uniform(5.0, 40.0), "m/s", "speed when the obstacle comes into view"),
        "reaction_time": Parameter(dist.LogNormal(0.0, 0.3), "s", "from sight to brake"),
        "deceleration": Parameter(dist.LogNormal(1.8, 0.2), "m/s^2", "mean deceleration"),
        "obstacle_distance": Parameter(dist.LogNormal(4.5, 0.5), "m", "free road ahead"),
    },
    outputs={"stopping_distance": Output("m", "from sight to standstill")},
    limit_states={
        "collision": LimitState(
            "m",
            lambda p, y: p["obstacle_distance"] - y["stopping_distance"],
            description="the vehicle reaches the obstacle before it stands",
        )
    },
    constraints=[
        nonnegative("stopping_distance", "m"),
        increasing("stopping_distance", along="speed", unit="s"),
        residual("work of the brakes equals kinetic energy (per mass)", "m^2/s^2", _work_of_brakes),
    ],
    validity={"speed": (0.0, 60.0)},
    references=[
        "AASHTO (2018), A Policy on Geometric Design of Highways and Streets, 7th ed., section 3.2.2"
    ],
)
def braking(p):
    """Stopping distance of a driver who reacts, then brakes at constant deceleration."""
    return {"stopping_distance": p["speed"] * p["reaction_time"] + p["speed"] ** 2 / (2 * p["deceleration"])}
