"""The result of a calibration: an InferenceData tree, its checks and its draws."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import xarray as xr

from physsynth.calibrate.diagnostics import bulk_ess, energy_fraction, r_hat, tail_ess
from physsynth.core.checks import Check

MAX_R_HAT, MIN_ESS, MIN_ENERGY_FRACTION = 1.01, 400.0, 0.3
# Effective share of draws from which on longer chains, not another form, are what a posterior lacks.
EFFICIENT = 0.1


@dataclass(frozen=True)
class Calibration:
    """Posterior of a model given data.

    Attributes
    ----------
    tree : xr.DataTree
        Groups ``posterior``, ``sample_stats`` and, for models with observed sites, ``log_likelihood``,
        ``posterior_predictive`` and ``observed_data``, each over ``chain`` and ``draw``.
    """

    tree: xr.DataTree

    @property
    def draws(self) -> dict[str, np.ndarray]:
        """Posterior draws with the chains laid end to end, shape (chain * draw, ...)."""
        return {
            str(name): values.values.reshape(-1, *values.shape[2:])
            for name, values in self.tree["posterior"].data_vars.items()
        }

    @cached_property
    def diagnostics(self) -> xr.Dataset:
        """R-hat, bulk and tail effective sample size of every scalar of the posterior."""
        columns = dict(_scalars(self.tree["posterior"].to_dataset()))
        measures = {"r_hat": r_hat, "bulk_ess": bulk_ess, "tail_ess": tail_ess}
        return xr.Dataset(
            {
                name: ("quantity", [measure(chains) for chains in columns.values()])
                for name, measure in measures.items()
            },
            {"quantity": list(columns)},
        )

    @property
    def mixed(self) -> bool:
        """Whether none diverged, and the chains agree or disagree only because they are short."""
        agreement, bulk, _, divergences, _ = self.checks()
        total = self.tree["sample_stats"]["diverging"].size
        return divergences.passed and (agreement.passed or bulk.value > EFFICIENT * total)

    @property
    def quality(self) -> tuple[int, float]:
        """How many checks pass, and the smallest bulk effective sample size: what tells forms apart."""
        checks = self.checks()
        return sum(check.passed for check in checks), checks[1].value

    def checks(self) -> list[Check]:
        """Return the checks that a posterior must pass before anything is concluded from it."""
        table, stats = self.diagnostics, self.tree["sample_stats"].to_dataset()
        worst, least = float(table["r_hat"].max()), float(table["bulk_ess"].min())
        tail, divergences = float(table["tail_ess"].min()), int(stats["diverging"].sum())
        energy = energy_fraction(stats["energy"].values)
        longer = "run longer chains, or give the model a better parameterisation"
        at = str(table["quantity"].values[int(np.argmax(table["r_hat"].values))])
        return [
            Check("largest R-hat", worst, f"< {MAX_R_HAT}", worst < MAX_R_HAT, f"{longer} (worst: {at})"),
            Check("smallest bulk ESS", least, f"> {MIN_ESS:g}", least > MIN_ESS, longer),
            Check("smallest tail ESS", tail, f"> {MIN_ESS:g}", tail > MIN_ESS, longer),
            Check(
                "divergent transitions", divergences, "= 0", divergences == 0, "raise the target acceptance"
            ),
            Check(
                "energy fraction of missing information",
                energy,
                f"> {MIN_ENERGY_FRACTION}",
                energy > MIN_ENERGY_FRACTION,
                "reparameterise the tails of the model",
            ),
        ]

    def summary(self) -> dict:
        """Return posterior mean, sd, 5, 50 and 95 % quantiles of every scalar parameter, and the checks."""
        rows = {}
        for name, chains in _scalars(self.tree["posterior"].to_dataset()):
            low, median, high = np.quantile(chains, [0.05, 0.5, 0.95])
            rows[name] = {
                "mean": float(chains.mean()),
                "sd": float(chains.std(ddof=1)),
                "q05": float(low),
                "q50": float(median),
                "q95": float(high),
            }
        return {"parameters": rows, "checks": [check.summary() for check in self.checks()]}


def _scalars(posterior: xr.Dataset):
    """Yield (name, chains) for every scalar of the posterior that varies."""
    for name, values in posterior.data_vars.items():
        flat = values.values.reshape(*values.shape[:2], -1)
        for index in range(flat.shape[2]):
            if np.ptp(flat[..., index]) > 0:
                yield (str(name) if flat.shape[2] == 1 else f"{name}[{index}]"), flat[..., index]
