"""Coverage of failure probabilities on limit states drawn at random, which nobody chose or tuned to.

    python experiments/benchmarks/rare_random.py --draws 2 3 --seeds 5
    python experiments/benchmarks/rare_random.py --draws 2 --black-box --out rare_random_black_box

Ten kinds of response in several dimensions each, with random coefficients. The threshold is a random
quantile, between 1e-2 and 2.5e-4, of plain Monte Carlo, whose own error widens the interval that the truth
may lie in.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp  # noqa: E402
from rare import RESULTS, versions  # noqa: E402

import physsynth as ps  # noqa: E402

BATCH = 20_000
Response = Callable[[jax.Array], jax.Array]


def directions(rng, k, d):
    """Random unit vectors (k, d)."""
    rows = rng.standard_normal((k, d))
    return jnp.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def quadratic(rng, d) -> Response:
    """A linear and a full quadratic form."""
    form = rng.standard_normal((d, d))
    form, slope = (
        jnp.asarray((form + form.T) / 4 / np.sqrt(d) * rng.uniform(0, 0.6)),
        directions(rng, 1, d)[0],
    )
    return lambda u: slope @ u + u @ form @ u


def network(rng, d) -> Response:
    """A layer of hyperbolic tangents beside a linear part."""
    inner, shift = rng.standard_normal((16, d)) * 1.5 / np.sqrt(d), rng.standard_normal(16)
    outer, slope = rng.standard_normal(16) / 4, rng.standard_normal(d) / np.sqrt(d)
    return lambda u: outer @ jnp.tanh(jnp.asarray(inner) @ u + shift) + 0.6 * slope @ u


def series(rng, d) -> Response:
    """A series system of planes at different distances."""
    k = int(rng.integers(2, 7))
    slopes, shift = directions(rng, k, d), rng.uniform(0, 0.5, k)
    return lambda u: jnp.max(slopes @ u - shift)


def parallel(rng, d) -> Response:
    """Two planes that must both be passed."""
    slopes = directions(rng, 2, d)
    return lambda u: jnp.min(slopes @ u)


def lognormals(rng, d) -> Response:
    """Log-normal loads against log-normal resistances."""
    spread, size = rng.uniform(0.1, 0.6, d), rng.uniform(0.2, 1.0, d)
    sign = np.where(np.arange(d) < max(1, d // 2), 1.0, -1.0)
    return lambda u: jnp.sum(sign * size * jnp.exp(spread * u))


def waves(rng, d) -> Response:
    """A wavy boundary."""
    slopes, height, pitch = directions(rng, 2, d), rng.uniform(0.2, 0.8), rng.uniform(1, 4)
    return lambda u: slopes[0] @ u + height * jnp.sin(pitch * (slopes[1] @ u))


def ellipsoid(rng, d) -> Response:
    """The distance from a centre, axes of different weight."""
    centre, weight = 0.5 * rng.standard_normal(d), rng.uniform(0.5, 1.5, d)
    return lambda u: jnp.sqrt(jnp.sum((weight * (u - centre)) ** 2))


def oscillator(rng, d) -> Response:
    """Largest displacement of a Duffing oscillator under white noise."""
    w, damping, cubic, dt = (
        rng.uniform(3, 9),
        rng.uniform(0.02, 0.1),
        rng.uniform(0, 2),
        rng.uniform(0.03, 0.06),
    )

    def slope(x, v, force):
        return v, force - 2 * damping * w * v - w**2 * (x + cubic * x**3)

    def step(state, noise):
        x, v, highest = state
        for _ in range(2):
            first = slope(x, v, noise / np.sqrt(dt))
            middle = slope(x + dt / 4 * first[0], v + dt / 4 * first[1], noise / np.sqrt(dt))
            x, v = x + dt / 2 * middle[0], v + dt / 2 * middle[1]
        return (x, v, jnp.maximum(highest, jnp.abs(x))), None

    return lambda u: jax.lax.scan(step, (jnp.zeros((), u.dtype),) * 3, u)[0][2]


def field(rng, d) -> Response:
    """Resistance of a bar whose conductivity is a log-normal random field."""
    x = np.linspace(0, 1, 64)
    values, vectors = np.linalg.eigh(np.exp(-np.abs(x[:, None] - x) / rng.uniform(0.1, 0.5)))
    basis = jnp.asarray(vectors[:, ::-1][:, :d] * np.sqrt(np.maximum(values[::-1][:d], 0)))
    spread = rng.uniform(0.3, 0.8)
    return lambda u: jnp.mean(jnp.exp(-spread * (basis @ u)))


def product(rng, d) -> Response:
    """The logarithm of products and quotients of normal variables, with a ripple."""
    spread, power = rng.uniform(0.05, 0.25, d), rng.choice([-2, -1, 1, 2], d)
    return lambda u: jnp.sum(power * jnp.log(jnp.maximum(1 + spread * u, 1e-3))) + 0.2 * jnp.sin(2 * u[0])


KINDS: dict[str, tuple[Callable[..., Response], tuple[int, ...]]] = {
    "quadratic": (quadratic, (2, 5, 12, 20, 60, 150)),
    "network": (network, (2, 6, 15, 40, 120)),
    "series": (series, (2, 8, 20, 80, 200)),
    "parallel": (parallel, (2, 10, 60)),
    "lognormals": (lognormals, (2, 6, 20, 80)),
    "waves": (waves, (2, 6, 18, 60)),
    "ellipsoid": (ellipsoid, (2, 5, 12, 30)),
    "oscillator": (oscillator, (60, 120)),
    "field": (field, (20, 50)),
    "product": (product, (3, 8, 16)),
}


def main() -> None:
    """Draw, measure, print and write."""
    options = arguments()
    rows = []
    for draw in options.draws:
        for kind, (make, dimensions) in KINDS.items():
            for d in dimensions:
                rows.append(
                    measured(kind, make(np.random.default_rng([draw, d, len(rows)]), d), d, draw, options)
                )
                print(LINE.format(**rows[-1]), flush=True)
                write(rows, options)
    print(json.dumps(pooled(rows), indent=1))


LINE = (
    "{kind:10s} {d:4d}  p {probability:.1e} +-{reference_error:5.1%}  bias {bias:+6.1%}  rmse {rmse:5.1%}"
    "  cover {coverage:4.0%}  converged {converged:4.0%}  cost {cost:6.0f}"
)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draws", type=int, nargs="+", default=[2], help="sets of coefficients")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--black-box", action="store_true", help="never differentiate")
    parser.add_argument("--out", default="rare_random")
    return parser.parse_args()


def measured(kind: str, response: Response, d: int, draw: int, options: argparse.Namespace) -> dict:
    """Return one limit state's row."""
    rng = np.random.default_rng([draw, d])
    threshold, probability, error = reference(response, d, 10 ** -rng.uniform(2, 3.6), draw)
    space, runs = ps.ParameterSpace.standard_normal(d), []
    for seed in range(options.seeds):
        event = ps.rare.estimate(
            lambda p: threshold - response(p["u"]),
            space,
            jax.random.key(1000 * draw + seed),
            differentiable=not options.black_box,
        )
        low, high = event.interval()
        held = low / (1 + 2 * error) <= probability <= high * (1 + 2 * error)
        cost = event.calls + 3 * event.gradient_calls
        runs.append((event.probability / probability - 1, held, event.converged, cost))
    off, held, converged, cost = np.array(runs, float).T
    return {
        "kind": kind,
        "d": d,
        "draw": draw,
        "probability": probability,
        "reference_error": error,
        "bias": float(off.mean()),
        "rmse": float(np.sqrt(np.mean(off**2))),
        "coverage": float(held.mean()),
        "converged": float(converged.mean()),
        "cost": float(cost.mean()),
    }


def reference(response: Response, d: int, probability: float, draw: int) -> tuple[float, float, float]:
    """Return a threshold, the probability beyond it, and the relative standard error of that."""
    n = 4_000_000 if d <= 20 else 1_000_000

    @jax.jit
    def values(key):
        return jax.vmap(response)(jax.random.normal(key, (BATCH, d)))

    keys = jax.random.split(jax.random.key(draw), n // BATCH)
    found = np.sort(np.concatenate([np.asarray(values(key)) for key in keys]))
    threshold = found[int(n * (1 - probability))]
    probability = float(np.mean(found >= threshold))
    return float(threshold), probability, float(np.sqrt((1 - probability) / probability / n))


def pooled(rows: list[dict]) -> dict:
    """Return the coverage of all runs, and the limit states where the estimate ends without its precision."""
    few, many = [r for r in rows if r["d"] <= 20], [r for r in rows if r["d"] > 20]
    return {
        "limit states": len(rows),
        "coverage": float(np.mean([row["coverage"] for row in rows])),
        "converged": float(np.mean([row["converged"] for row in rows])),
        "median cost, d <= 20": float(np.median([row["cost"] for row in few])),
        "median cost, d > 20": float(np.median([row["cost"] for row in many])) if many else None,
        "biased beyond 10 % and 3 errors": [
            f"{r['kind']} {r['d']}" for r in rows if abs(r["bias"]) > 0.1 + 3 * r["reference_error"]
        ],
    }


def write(rows: list[dict], options: argparse.Namespace) -> None:
    """Write the table so far."""
    content = {"versions": versions(), "options": vars(options), "pooled": pooled(rows), "limit states": rows}
    (Path(RESULTS) / f"{options.out}.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
