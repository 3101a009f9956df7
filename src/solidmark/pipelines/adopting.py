"""A stranger's class, call and scheduler on the parts of a pipeline that is in memory: the same weights in other hands."""

from __future__ import annotations

import copy
import importlib
import inspect
from typing import Any

from ..errors import NotApplicable, PluginFault, UnknownName, said
from .age import modern
from .calls import strangers_code
from .loading import Loaded, read_call, read_class
from .quiet import quiet


def adopt(
    stock: Any, *, pipeline_class: str | None = None, call: str | None = None, scheduler: str | None = None, batch: int = 1
) -> Loaded:
    """The pipeline that a stranger's class makes of the parts of `stock`, with its call.

    `pipeline_class` and `call` are written `file.py:Name`, as in `load`. `scheduler` names a scheduler of diffusers, which
    is made from the settings of the one that `stock` has. Raises as `load` does.
    """
    with quiet():
        steps = copy.deepcopy(stock.scheduler) if scheduler is None else _scheduler(scheduler, stock.scheduler)
        kind = type(stock) if pipeline_class is None else modern(read_class(pipeline_class))
        pipe = _made(kind, {**_parts(stock), "scheduler": steps})
    return Loaded(pipe, None if call is None else read_call(call), batch=batch)


def _parts(stock: Any) -> dict[str, Any]:
    """What a pipeline was made of: its components, and the settings that are none."""
    settings = {name: value for name, value in dict(stock.config).items() if not name.startswith("_")}
    return {**{name: value for name, value in settings.items() if isinstance(value, bool)}, **stock.components}


def _made(kind: type, parts: dict[str, Any]) -> Any:
    """The pipeline of these parts. Raises NotApplicable where its class needs one more, PluginFault where it fails."""
    parameters = [one for name, one in inspect.signature(kind).parameters.items() if one.kind is not one.VAR_KEYWORD]
    lacking = [one.name for one in parameters if one.default is one.empty and one.name not in parts]
    if lacking:
        cure = (
            "Give a class that is made of the parts of the testbed's pipeline, or ask its own folder by `solidmark measure`."
        )
        raise NotApplicable(kind.__name__, f"a class that needs {', '.join(lacking)}", f"one of {', '.join(parts)}", cure)
    with strangers_code(f"{kind.__name__}.__init__"):
        return kind(**{one.name: parts[one.name] for one in parameters if one.name in parts})


def _scheduler(name: str, settings_of: Any) -> Any:
    """The scheduler of that name with the settings of another. Raises UnknownName, or PluginFault where it refuses them."""
    diffusers = importlib.import_module("diffusers")
    kind = getattr(diffusers, name, None)
    if not (isinstance(kind, type) and hasattr(kind, "set_timesteps")):
        known = [one for one in dir(diffusers) if one.endswith("Scheduler")]
        raise UnknownName.among("scheduler of diffusers", name, known)
    try:
        made: Any = kind.from_config(settings_of.config)  # type: ignore[attr-defined]  # a class of diffusers, known by its name
    except Exception as cause:
        where, expected = f"scheduler {name}", f"the settings of {type(settings_of).__name__}"
        raise PluginFault(where, said(cause), expected, "Choose another one.") from cause
    return made
