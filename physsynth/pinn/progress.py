"""A line that says how far training is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from physsynth.pinn.budget import Budget
from physsynth.pinn.training import State


@contextmanager
def observer(budget: Budget, visible: bool) -> Iterator[Callable[[State, int], None]]:
    """Give a function that shows a state, and the iterations before it, as a line with a bar if `visible`."""
    columns = (
        TextColumn("training"),
        BarColumn(),
        TextColumn("loss {task.fields[loss]:.1e}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, disable=not visible, transient=True) as line:
        task = line.add_task("training", total=budget.iterations, loss=float("nan"))
        yield lambda state, before: line.update(
            task, completed=before + state.history["iterations"][-1], loss=state.history["loss"][-1]
        )
