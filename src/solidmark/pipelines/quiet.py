"""Use diffusers' pipelines without what their libraries print: transformers asks for torchvision, which nobody needs."""

from __future__ import annotations

import importlib
import logging
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from ..errors import NotApplicable


@contextmanager
def quiet() -> Iterator[None]:
    """Inside, diffusers and transformers log errors alone, show no progress bar, and warnings are no errors.

    Raises NotApplicable without transformers.
    """
    with warnings.catch_warnings(), ExitStack() as stack:
        warnings.simplefilter("ignore")
        for name in ("diffusers", "transformers"):
            try:
                log = importlib.import_module(f"{name}.utils.logging")
            except ImportError as cause:
                found, cure = f"no {name}", "Run pip install 'solidmark[pipelines]'."
                raise NotApplicable("pipelines", found, "the extra `pipelines`", cure) from cause
            stack.enter_context(_silenced(log))
        yield


@contextmanager
def uncast() -> Iterator[None]:
    """Inside, diffusers does not tell at each cast of a network that a cast may lose precision: ours go back and forth."""

    def other(told: logging.LogRecord) -> bool:
        return not told.getMessage().startswith("There are modules in")

    log = logging.getLogger("diffusers.models.modeling_utils")
    log.addFilter(other)
    try:
        yield
    finally:
        log.removeFilter(other)


@contextmanager
def _silenced(log: Any) -> Iterator[None]:
    verbosity, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(verbosity)
        if bars:
            log.enable_progress_bar()
