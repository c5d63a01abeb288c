"""DeepXDE's stock Burgers example, measured on the same points; run by a Python that has DeepXDE.

    DDE_BACKEND=tensorflow.compat.v1 python pinn_peers.py points.npz float32 0

The recipe is that of its documentation: 3 layers of 20, 2,540 points inside, 80 on the boundary, 160 at
the start, 15,000 steps of Adam at 1e-3, then L-BFGS. Prints one JSON object: CPU seconds and relative L2
error after each of the two. Reads t, x, u from the file; the last argument is the seed.

With TensorFlow 2.15 and 2.21 its L-BFGS sees a constant function: the session ignores values that are fed
for variables. `_repair` assigns them instead; without it the recipe ends where Adam does.
"""

from __future__ import annotations

import json
import sys
import time
from importlib import metadata
from pathlib import Path

import numpy as np


def burgers(points: Path, precision: str, seed: int) -> dict:
    """Train the example and return what it reached."""
    import deepxde as dde  # type: ignore[import-not-found]

    _repair()
    began = time.process_time()
    dde.config.set_default_float(precision)
    dde.config.set_random_seed(seed)
    model = _model(dde)
    model.compile("adam", lr=1e-3)
    model.train(iterations=15_000, display_every=15_000)
    adam = _measure(model, points, began)
    model.compile("L-BFGS")
    model.train(display_every=100_000)
    return {
        "peer": f"DeepXDE {dde.__version__}",
        "precision": precision,
        "seed": seed,
        "adam": adam,
        "final": _measure(model, points, began),
        **{name: metadata.version(name) for name in ("deepxde", "tensorflow", "scipy", "numpy")},
    }


def _repair():
    """Assign the weights that L-BFGS asks about, then evaluate the loss."""
    from deepxde.optimizers.tensorflow_compat_v1 import (  # type: ignore[import-not-found]
        scipy_optimizer,
    )

    interface = scipy_optimizer.ExternalOptimizerInterface
    evaluator = interface._make_eval_func

    def assigning(self, tensors, session, feed_dict, fetches, callback=None):
        evaluate = evaluator(self, tensors, session, feed_dict, fetches, callback)

        def at(x):
            parts = (x[place] for place in self._packing_slices)
            given = dict(zip(self._update_placeholders, parts, strict=True))
            session.run(self._var_updates, feed_dict=given)
            return evaluate(x)

        return at

    interface._make_eval_func = assigning


def _model(dde):
    geometry = dde.geometry.GeometryXTime(dde.geometry.Interval(-1, 1), dde.geometry.TimeDomain(0, 1))

    def equation(x, u):
        u_x, u_t = (dde.grad.jacobian(u, x, i=0, j=j) for j in (0, 1))
        return u_t + u * u_x - 0.01 / np.pi * dde.grad.hessian(u, x, i=0, j=0)

    walls = dde.icbc.DirichletBC(geometry, lambda x: 0, lambda _, on_boundary: on_boundary)
    start = dde.icbc.IC(geometry, lambda x: -np.sin(np.pi * x[:, 0:1]), lambda _, on_initial: on_initial)
    data = dde.data.TimePDE(
        geometry, equation, [walls, start], num_domain=2540, num_boundary=80, num_initial=160
    )
    return dde.Model(data, dde.nn.FNN([2, 20, 20, 20, 1], "tanh", "Glorot normal"))


def _measure(model, points, began):
    seconds = time.process_time() - began
    given = np.load(points)
    found = model.predict(np.stack([given["x"], given["t"]], axis=1))[:, 0]
    error = float(np.linalg.norm(found - given["u"]) / np.linalg.norm(given["u"]))
    return {"seconds": seconds, "error": error}


if __name__ == "__main__":
    print(json.dumps(burgers(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))))
