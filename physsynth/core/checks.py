"""A check: one number held against its threshold, with what to do when it fails."""

from __future__ import annotations

from dataclasses import asdict, dataclass

# Stands for infinity in a summary: JSON has no place for that.
BEYOND = 1e300


@dataclass(frozen=True)
class Check:
    """The outcome of one check.

    Parameters
    ----------
    name : str
        What is checked, for example "largest R-hat".
    value : float
        What was measured.
    threshold : str
        What was wanted, for example "< 1.01".
    passed : bool
    advice : str
        What to do if it failed.
    """

    name: str
    value: float
    threshold: str
    passed: bool
    advice: str = ""

    def summary(self) -> dict:
        """Return the check as a plain dict."""
        return asdict(self)
