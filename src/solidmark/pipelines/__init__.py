"""Any diffusers pipeline, as it is: it outpaints images although nothing in it knows of outpainting. Read `held` first.

`ask` gives a pipeline's answers to many images, `held` makes one call outpaint, `modern` makes a class of 2023 run today.
None of them needs diffusers itself; only `load` and `modern` import it. design/pipelines.md says why it is done so.
"""

from .adopting import adopt
from .age import modern, old_imports
from .asking import Answers, ask
from .calls import takes_prompts
from .counting import Counts
from .devices import checked as checked_device
from .holding import Held, held
from .identities import Identity, identity
from .loading import Loaded, find_folder, is_hub_name, load
from .space import channels

__all__ = [
    "Answers",
    "Counts",
    "Held",
    "Identity",
    "Loaded",
    "adopt",
    "ask",
    "channels",
    "checked_device",
    "find_folder",
    "held",
    "identity",
    "is_hub_name",
    "load",
    "modern",
    "old_imports",
    "takes_prompts",
]
