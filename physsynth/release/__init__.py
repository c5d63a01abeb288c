"""A release: a folder that describes itself, keeps its promises and can be verified offline.

release/
├── <name>.nc        each dataset: HDF5 in netCDF-4 layout, CF attributes
├── <file>           whatever belongs to it: the study, the measurements
├── README.md        what is inside, for people
├── contract.json    what each dataset promises: dims, types, units, bounds, sums
└── manifest.json    size and sha256 of every file, lineage, versions, and its own digest
"""

from physsynth.release.builder import build as build
from physsynth.release.contract import Contract as Contract
from physsynth.release.contract import DatasetContract as DatasetContract
from physsynth.release.contract import Row as Row
from physsynth.release.contract import SumPromise as SumPromise
from physsynth.release.contract import VariableContract as VariableContract
from physsynth.release.verification import Verification as Verification
from physsynth.release.verification import verify as verify

__all__ = [
    "Contract",
    "DatasetContract",
    "Row",
    "SumPromise",
    "VariableContract",
    "Verification",
    "build",
    "verify",
]
