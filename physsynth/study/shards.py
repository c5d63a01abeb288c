"""Shards of a stage: pieces of fixed size that any worker can compute and that are never computed twice.

Shard i depends on the study and on i alone, so the bytes do not depend on the number of workers.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

Compute = Callable[[int], Any]


def run_shards(
    folder: Path,
    names: Iterable[str],
    inline: Callable[[int], None],
    remote: tuple[Callable[..., None], tuple],
    workers: int,
    on_done: Callable[[int], None],
) -> list[Path]:
    """Compute the shards that are missing and return the files of all.

    Parameters
    ----------
    folder : Path
    names : iterable of str
        File name of each shard.
    inline : callable
        Computes shard i in this process and writes its file.
    remote : (function, arguments)
        The same for a worker process: ``function(*arguments, i)``, importable and picklable.
    workers : int
    on_done : callable
        Told the number of shards done so far.
    """
    paths = [folder / name for name in names]
    missing = [i for i, path in enumerate(paths) if not path.exists()]
    done = len(paths) - len(missing)
    on_done(done)
    if workers <= 1 or len(missing) <= 1:
        for count, i in enumerate(missing, done + 1):
            inline(i)
            on_done(count)
        return paths
    function, arguments = remote
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(missing)), context, _follow_parent, (os.getpid(),)) as pool:
        jobs = [pool.submit(function, *arguments, i) for i in missing]
        for count, job in enumerate(as_completed(jobs), done + 1):
            job.result()
            on_done(count)
    return paths


def _follow_parent(parent: int) -> None:
    """End this worker when the run that started it is gone."""

    def watch():
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
