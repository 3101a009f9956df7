"""The pool: tasks painted by several processes, with few of them under way at a time."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from ..errors import InvalidValue
from .painting import Painted, Task, paint

AHEAD = 4
"""Tasks that wait for each process: enough to keep it busy, few enough that memory stays flat."""

WORTHWHILE = 200
"""Images from which on other processes are started: each takes seconds to start."""


def default_workers(images: int) -> int:
    """One process a usable core, and this one alone for few images."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores if images >= WORTHWHILE else 1


def painted(tasks: list[Task], workers: int) -> Iterator[Painted]:
    """Each outcome as it comes. Raises InvalidValue where a process was killed."""
    if workers <= 1:
        yield from map(paint, tasks)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        try:
            yield from bounded(pool.submit, tasks, workers * AHEAD)
        except BrokenProcessPool as cause:
            cure = "Run the same command again with fewer --workers."
            raise InvalidValue("solidmark mark", "a process that was killed", "enough memory", cure) from cause
        finally:
            pool.shutdown(cancel_futures=True)


def bounded(
    submit: Callable[[Callable[[Task], Painted], Task], Future[Painted]], tasks: Iterable[Task], ahead: int
) -> Iterator[Painted]:
    """The outcome of each task as it comes, with at most `ahead` submitted and not yet taken."""
    waiting: set[Future[Painted]] = set()
    for task in tasks:
        if len(waiting) >= ahead:
            ended, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in ended)
        waiting.add(submit(paint, task))
    yield from (future.result() for future in waiting)
