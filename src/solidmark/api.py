"""The public face for authors: all that a mitigation, a query or a testbed imports.

Their tests import `solidmark.testing`, reports `solidmark.leaderboard`. Everything else may change without notice.

`from solidmark import Claim, Mitigation, Needs, Origin, Sampler, Stage, Trainer` is enough for a plain mitigation, and is
free of torch. This module has those seven and the rest, and imports torch. A report must not import torch: it imports
`solidmark.leaderboard` in place of this module.

**Mitigation.** A mitigation is a frozen dataclass, a subclass of `Mitigation`, that overrides its hooks. `Stage`, `Needs`
and `Claim`, with its `Origin`, are what it states. `Trainer` and `Sampler` wrap a training or a batch of queries. `Data` has
the parts of the data that it declared, and takes each `ReportedValue` for the record. `Scale` is a guidance scale.

**Models and batches.** A `Denoiser` is the interface of all models. A `Model` is a trained one, with its `Network`, or a
`LatentNetwork` behind an `Autoencoder`, and its `Schedule`. It gives a `Prediction` and counts its `Evaluations`.
`Attention` acts inside each cross-attention `Layer`. `START`, `WORD`, `END` and `PADDING` are the roles of tokens. A
`Batch` is trained on, a `SamplingBatch` is sampled.

**Data.** `Examples` are images with captions and ids; `join` puts several together. `Captions` are a list that knows
what the text encoder takes. `says_something` separates captions from the null condition. `ALIKE` is the distance below
which two images count as one. `COMMON_WORDS` are a token each on every testbed with captions.

**Sampling.** `guide` is the formula of classifier-free guidance. A `SolverConfig` is the solver of a query. A `Service`
is a model behind a `Composition` of mitigations.

**Training.** A `Recipe` has the numbers of a training. A `Run` is what all trainers of one training share.

**Editing a trained model.** `draw_noised_batch` gives a `NoisedBatch` with its denoising losses, as in the training where it
gets `data.recipe`. `minimize_loss` descends a loss, `follow_direction` takes any direction; `gradients` and `global_norm`
help to make one, `mean_gradients` from a batch in parts that fit into memory (`parts_of`).

**Queries.** A query is a frozen dataclass, a subclass of `Attack`, that states its `Access` and makes an `Answer` from an
`Audit`.

**Distances.** A distance is a frozen dataclass, a subclass of `Distance`, that says how far pictures are from images; it may
calibrate with its `Surroundings`.

**Detectors.** A detector is a frozen dataclass, a subclass of `Detector`, that says how likely a prompt is memorized.

**Testbeds and marks.** A testbed is a frozen dataclass, a subclass of `Testbed`, that loads `Labelled` images. A `Mark` is
a `Border`, a `Patch`, or its `Blocks`. `draw_keys` draws keys, `paint_keys` paints them, `read_keys` reads them.

**Randomness.** `numpy_rng` and `torch_rng` make one independent generator for each seed and purpose.

**Errors.** All are a `SolidmarkError`, with the place, what was found, what was expected, and the cure. `InvalidValue` is
for a value out of range, `NotApplicable` for a model or testbed that the plugin cannot act on, `PluginFault` for what a
plugin may not do.
"""

from .data import ALIKE, COMMON_WORDS, Captions, Examples, join, says_something
from .errors import InvalidValue, NotApplicable, PluginFault, SolidmarkError
from .keys import draw as draw_keys
from .marks import Blocks, Border, Mark, Patch
from .marks import paint as paint_keys
from .marks import read as read_keys
from .metrics.detectors import Detector
from .metrics.distances import Distance, Surroundings
from .mitigation import Claim, Mitigation, Needs, Origin, Sampler, Scale, Stage, Trainer
from .mitigation.composition import Composition
from .mitigation.handout import Data
from .mitigation.run import Run
from .models import (
    END,
    PADDING,
    START,
    WORD,
    Attention,
    Autoencoder,
    Batch,
    Denoiser,
    Evaluations,
    LatentNetwork,
    Layer,
    Model,
    Network,
    Prediction,
    Recipe,
    ReportedValue,
    SamplingBatch,
    Schedule,
)
from .models.denoising import (
    NoisedBatch,
    draw_noised_batch,
    follow_direction,
    global_norm,
    gradients,
    mean_gradients,
    minimize_loss,
    parts_of,
)
from .queries import Access, Answer, Attack, Audit
from .sampling import Service, SolverConfig, guide
from .seeds import numpy_rng, torch_rng
from .testbed import Labelled, Testbed

__all__ = [
    "ALIKE",
    "COMMON_WORDS",
    "END",
    "PADDING",
    "START",
    "WORD",
    "Access",
    "Answer",
    "Attack",
    "Attention",
    "Audit",
    "Autoencoder",
    "Batch",
    "Blocks",
    "Border",
    "Captions",
    "Claim",
    "Composition",
    "Data",
    "Denoiser",
    "Detector",
    "Distance",
    "Evaluations",
    "Examples",
    "InvalidValue",
    "Labelled",
    "LatentNetwork",
    "Layer",
    "Mark",
    "Mitigation",
    "Model",
    "Needs",
    "Network",
    "NoisedBatch",
    "NotApplicable",
    "Origin",
    "Patch",
    "PluginFault",
    "Prediction",
    "Recipe",
    "ReportedValue",
    "Run",
    "Sampler",
    "SamplingBatch",
    "Scale",
    "Schedule",
    "Service",
    "SolidmarkError",
    "SolverConfig",
    "Stage",
    "Surroundings",
    "Testbed",
    "Trainer",
    "draw_keys",
    "draw_noised_batch",
    "follow_direction",
    "global_norm",
    "gradients",
    "guide",
    "join",
    "mean_gradients",
    "minimize_loss",
    "numpy_rng",
    "paint_keys",
    "parts_of",
    "read_keys",
    "says_something",
    "torch_rng",
]
