"""The stages of a study, in the order in which they run."""

from physsynth.study.stage import Stage
from physsynth.study.stages.calibrate import Calibrate
from physsynth.study.stages.evaluate import Evaluate
from physsynth.study.stages.network import Network
from physsynth.study.stages.rare import Rare
from physsynth.study.stages.release import Release
from physsynth.study.stages.report import Report
from physsynth.study.stages.require import Require

STAGES: tuple[Stage, ...] = (Network(), Calibrate(), Rare(), Evaluate(), Require(), Release(), Report())
