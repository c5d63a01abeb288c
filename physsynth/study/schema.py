"""What a study file may say. Every table of the TOML file is one class; unknown keys are errors."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

MOST = 1_000_000


class Table(BaseModel):
    """A table of the study file."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class StudyTable(Table):
    """[study]: the question, the seed and the precision of all arithmetic."""

    question: str = Field(min_length=1)
    title: str | None = None
    seed: int = Field(0, ge=0, lt=2**32)
    precision: Literal["float64", "float32"] = "float64"
    context_of_use: str = ""
    decision_consequence: str = ""


class SimulatorTable(Table):
    """[simulator]: which simulator, its static options, and what to do with runs that fail."""

    name: str
    options: dict[str, Any] = {}
    on_failure: Literal["keep", "stop", "retry"] = "keep"


class NetworkTable(Table):
    """[network]: a network trained on the simulator's equation before all else.

    Calibration runs it in the simulator's place, with its estimated error in the noise, and it guides the
    search for failures, which the simulator itself decides. `ranges` are those of parameters that it is
    trained on, where they are not those of the simulator's own distributions.
    """

    iterations: int = Field(3000, ge=100)
    width: int = Field(20, ge=2, le=64)
    depth: int = Field(3, ge=1, le=8)
    points: int = Field(4000, ge=100)
    ranges: dict[str, Annotated[list[str], Field(min_length=2, max_length=2)]] = {}


class MeasurementsTable(Table):
    """[measurements]: the real data, the unit of each column, and what a row says about the simulator."""

    file: str
    units: dict[str, str] = Field(min_length=1)
    sha256: str | None = None
    source: str = ""
    output: str | None = None
    groups: str | None = None
    conditions: dict[str, Any] = {}


class DistributionTable(BaseModel):
    """A distribution by its NumPyro name; the other keys are its arguments."""

    model_config = ConfigDict(extra="allow", frozen=True)
    distribution: str


class ParameterTable(DistributionTable):
    """A random input of a new scenario; `size` makes a vector of independent draws."""

    unit: str = "1"
    description: str = ""
    size: int | None = Field(None, ge=1)


class PopulationTable(Table):
    """A parameter that varies log-normally between members: priors of its median and its spread."""

    median: DistributionTable
    spread: DistributionTable
    per: str | None = None
    unit: str | None = None


class NoiseTable(Table):
    """The combined error model of a measurement."""

    additive: DistributionTable | None = None
    proportional: DistributionTable | None = None
    coordinate: DistributionTable | None = None


def _kind_of_prior(table: Any) -> str:
    stated = table if isinstance(table, dict) else type(table).model_fields
    return "population" if "median" in stated or "spread" in stated else "pooled"


Prior = Annotated[
    Annotated[PopulationTable, Tag("population")] | Annotated[DistributionTable, Tag("pooled")],
    Discriminator(_kind_of_prior),
]


class CalibrateTable(Table):
    """[calibrate]: priors, error model, and the length of the Markov chains."""

    parameters: dict[str, Prior] = Field(min_length=1)
    noise: NoiseTable
    chains: int = Field(4, ge=2)
    warmup: int = Field(1000, ge=10, le=MOST)
    draws: int = Field(1000, ge=10, le=MOST)
    target_acceptance: float = Field(0.9, gt=0.5, lt=1.0)


class ScenarioTable(Table):
    """[scenario]: what a new scenario is: random inputs, fixed values, and the simulator's options."""

    description: str = ""
    parameters: dict[str, ParameterTable] = {}
    fixed: dict[str, str | float] = {}
    options: dict[str, Any] = {}


class RareTable(BaseModel):
    """[rare]: the failure, and how precisely its probability is wanted. Other keys set the limit state.

    `records` is the number of equal-weight failing records written beside the weighted scenarios.
    """

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)
    limit_state: str
    scenarios: int = Field(1000, ge=1, le=MOST)
    target_cov: float = Field(0.03, gt=0.0, lt=1.0)
    max_calls: int = Field(200_000, ge=100)
    replicates: int = Field(4, ge=2, le=64)
    records: int = Field(0, ge=0, le=MOST)
    method: str = "auto"


class RequireTable(Table):
    """[require]: how narrow the probability's interval must become, and with what assurance.

    Each of the `replicates` is an imagined future, in which `particles` of the posterior draws are carried.
    `costs` are those of one new member by the way it is measured, in any currency; the planned way costs 1,
    and a way that is not named what the planned one does. `physsynth check` names the ways.
    """

    quantity: Literal["failure_probability"] = "failure_probability"
    factor: float = Field(gt=1.0)
    interval: float = Field(0.9, gt=0.0, lt=1.0)
    assurance: float = Field(0.8, gt=0.0, lt=1.0)
    max_n: int = Field(1000, ge=1)
    replicates: int = Field(200, ge=20)
    particles: int = Field(1000, ge=50, le=MOST)
    costs: dict[str, Annotated[float, Field(gt=0.0)]] = {}


class EvaluateTable(Table):
    """[evaluate]: how many ordinary scenarios are checked beside the rare ones."""

    ordinary_scenarios: int = Field(4096, ge=100, le=MOST)


class ReleaseTable(Table):
    """[release]: the title and the terms of the dataset."""

    title: str | None = None
    license: str = Field("not stated", min_length=1)


class StudyFile(Table):
    """A whole study file."""

    study: StudyTable
    simulator: SimulatorTable
    network: NetworkTable | None = None
    measurements: MeasurementsTable | None = None
    calibrate: CalibrateTable | None = None
    scenario: ScenarioTable = ScenarioTable()
    rare: RareTable
    require: RequireTable | None = None
    evaluate: EvaluateTable = Field(default_factory=lambda: EvaluateTable.model_validate({}))
    release: ReleaseTable = Field(default_factory=lambda: ReleaseTable.model_validate({}))
