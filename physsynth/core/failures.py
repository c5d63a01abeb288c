"""What to do with a scenario whose run failed: keep and flag it, stop, or retry with a smaller step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np

from physsynth.core.errors import ParameterError, SimulationError
from physsynth.core.simulator import Simulator

Batch = dict[str, jax.Array]


def finite(outputs: Batch) -> jax.Array:
    """Return which scenarios of a batch (n, ...) have only finite outputs."""
    checks = [jnp.all(jnp.isfinite(y.reshape(y.shape[0], -1)), axis=1) for y in outputs.values()]
    return jnp.all(jnp.stack(checks), axis=0)


class FailurePolicy(Protocol):
    """What happens to failed scenarios of a batch."""

    def settle(self, sim: Simulator, parameters: Batch, outputs: Batch) -> Batch:
        """Return the outputs to keep."""
        ...


@dataclass(frozen=True)
class Keep:
    """Keep failed scenarios as they are; they are flagged. Dropping them would bias the tails."""

    def settle(self, sim: Simulator, parameters: Batch, outputs: Batch) -> Batch:
        """Return the outputs unchanged."""
        return outputs


@dataclass(frozen=True)
class Stop:
    """Raise on the first failed scenario."""

    def settle(self, sim: Simulator, parameters: Batch, outputs: Batch) -> Batch:
        """Return the outputs if all are finite.

        Raises
        ------
        SimulationError
            Otherwise, with the parameters of the first failed scenario.
        """
        failed = np.flatnonzero(~np.asarray(finite(outputs)))
        if failed.size:
            first: Mapping[str, list] = {k: np.asarray(v)[failed[0]].tolist() for k, v in parameters.items()}
            raise SimulationError(
                f"{failed.size} scenario(s) of {sim.name} failed",
                key=f"scenario {failed[0]} of the batch",
                wanted="finite outputs",
                got=f"non-finite outputs at {first}",
                advice='mend the simulator, or choose the failure policy "keep" or "retry"',
            )
        return outputs


@dataclass(frozen=True)
class Retry:
    """Run failed scenarios again with a smaller step; what still fails is kept and flagged.

    Parameters
    ----------
    factor : float
        By how much the step shrinks each time, in (0, 1).
    attempts : int
        How many times.
    """

    factor: float = 0.5
    attempts: int = 3

    def settle(self, sim: Simulator, parameters: Batch, outputs: Batch) -> Batch:
        """Return the outputs with failed scenarios replaced by their successful retry.

        Raises
        ------
        ParameterError
            If the simulator declares no step.
        """
        step = sim.step
        if step is None:
            raise ParameterError(
                f'{sim.name} has no step, so the failure policy "retry" has nothing to make smaller',
                key="on_failure",
                wanted='"keep" or "stop"',
                got='"retry"',
            )
        for _ in range(self.attempts):
            good = finite(outputs)
            if bool(jnp.all(good)):
                break
            sim = sim.configure(**{step: sim.options[step] * self.factor})
            again = sim.batched(parameters)
            outputs = {
                name: jnp.where(good.reshape((-1,) + (1,) * (y.ndim - 1)), y, again[name])
                for name, y in outputs.items()
            }
        return outputs
