"""Import diffusers' pipelines without what their libraries print: transformers asks for torchvision, which nobody needs."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import NotApplicable


@contextmanager
def quiet() -> Iterator[None]:
    """Inside, transformers logs errors alone, and warnings are no errors. Raises NotApplicable without transformers."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            log = importlib.import_module("transformers.utils.logging")
    except ImportError as cause:
        found, cure = "no transformers", "Run pip install 'solidmark[pipelines]'."
        raise NotApplicable("pipelines", found, "the extra `pipelines`", cure) from cause
    before = log.get_verbosity()
    log.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.set_verbosity(before)
