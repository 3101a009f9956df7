"""The state of Python and of its process that all rows share: how each setting is read and set."""

from __future__ import annotations

import gc
import locale
import os
import signal
import sys
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

try:
    import resource
except ImportError:  # a system without such limits
    LIMITS = []
else:
    LIMITS = sorted(getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_"))

ENVIRONMENT = frozenset(os.environ) - {"PYTEST_CURRENT_TEST"}
"""Names that were set when the process began; another one may be a library's, set at its import."""

OURS = (
    "SOLIDMARK_",
    "TMPDIR",
    "TEMP",
    "TMP",
    "HOME",
    "XDG_",
    "PATH",
    "PYTHON",
    "CUDA_VISIBLE_DEVICES",
    "OMP_",
    "MKL_",
    "HF_",
    "TZ",
    "LC_",
    "LANG",
)
"""Names that are watched as well, by their beginnings."""

TIMERS = tuple(getattr(signal, name) for name in ("ITIMER_REAL", "ITIMER_VIRTUAL", "ITIMER_PROF") if hasattr(signal, name))


@dataclass(frozen=True)
class Filters:
    """Filters of warnings. Those compare that concern every warning; of the others, libraries add some at their import."""

    wide: tuple[tuple[Any, ...], ...]
    every: tuple[tuple[Any, ...], ...] = field(compare=False)

    @classmethod
    def now(cls) -> Filters:
        """Those of the process."""
        every = tuple(warnings.filters)
        return cls(tuple(one for one in every if one[1] is None and one[2] is Warning and one[3] is None), every)

    def put_back(self) -> None:
        """Set all of them."""
        warnings.resetwarnings()  # so that Python forgets which warnings it has judged already
        warnings.filters[:] = self.every  # type: ignore[index]


def _folder() -> str:
    """The current folder; no name where it was removed."""
    try:
        return os.getcwd()
    except OSError:
        return ""


def _umask() -> int:
    """Which permissions new files lack; it can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _limits() -> dict[int, int]:
    """The soft limits of the process."""
    found = {}
    for kind in LIMITS:
        with suppress(OSError, ValueError):
            found[kind] = resource.getrlimit(kind)[0]
    return found


def _set_limits(soft: Mapping[int, int]) -> None:
    """Put soft limits back, so far as the hard ones allow."""
    for kind, wanted in soft.items():
        hard = resource.getrlimit(kind)[1]
        beyond = hard != resource.RLIM_INFINITY and not 0 <= wanted <= hard
        resource.setrlimit(kind, (hard if beyond else wanted, hard))


def _environment() -> dict[str, str]:
    """The variables that are watched."""
    return {name: value for name, value in os.environ.items() if name in ENVIRONMENT or name.startswith(OURS)}


def _set_environment(wanted: Mapping[str, str]) -> None:
    for name in set(_environment()) - set(wanted):
        del os.environ[name]
    os.environ.update(wanted)


def _collector() -> tuple[Any, ...]:
    return gc.isenabled(), gc.get_threshold(), tuple(gc.callbacks)


def _set_collector(wanted: tuple[Any, ...]) -> None:
    enabled, thresholds, callbacks = wanted
    (gc.enable if enabled else gc.disable)()
    gc.set_threshold(*thresholds)
    gc.callbacks[:] = callbacks


def _timers() -> tuple[bool, ...]:
    """Which timers are on, whatever is left of their time."""
    return tuple(any(signal.getitimer(kind)) for kind in TIMERS)


def _set_timers(wanted: tuple[bool, ...]) -> None:
    """Switch off those that were off; what an outer one had left nobody knows."""
    for kind, on in zip(TIMERS, wanted, strict=True):
        if not on:
            signal.setitimer(kind, 0)


def _blocked() -> frozenset[int]:
    """The signals that this thread does not take."""
    return frozenset(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, ())))


def _set_blocked(wanted: frozenset[int]) -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, wanted)


def _set_numpy_errors(wanted: Mapping[str, Any]) -> None:
    np.seterr(**wanted)


def _set_locale(wanted: str) -> None:
    locale.setlocale(locale.LC_ALL, wanted)


GETTERS: Mapping[str, Callable[[], Any]] = {
    "folder": _folder,
    "umask": _umask,
    "limits": _limits,
    "environment": _environment,
    "numpy_errors": np.geterr,
    "recursion_limit": sys.getrecursionlimit,
    "garbage_collection": _collector,
    "warning_filters": Filters.now,
    "timers": _timers,
    "blocked_signals": _blocked,
    "locale": lambda: locale.setlocale(locale.LC_ALL),
}

SETTERS: Mapping[str, Callable[[Any], object]] = {
    "folder": os.chdir,
    "umask": os.umask,
    "limits": _set_limits,
    "environment": _set_environment,
    "numpy_errors": _set_numpy_errors,
    "recursion_limit": sys.setrecursionlimit,
    "garbage_collection": _set_collector,
    "warning_filters": Filters.put_back,
    "timers": _set_timers,
    "blocked_signals": _set_blocked,
    "locale": _set_locale,
}
