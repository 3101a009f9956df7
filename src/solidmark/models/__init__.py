"""Models: the trained denoiser with its conditioning and schedule, and the perfect memorizer."""

from .adapters import Adapters
from .attention import Attention, Layer
from .autoencoder import Autoencoder
from .batch import Batch, SamplingBatch
from .conditioning import END, PADDING, START, WORD
from .denoiser import Denoiser, ReportedValue
from .given import GivenNetwork, GivenParts, provide
from .latent import LatentNetwork
from .model import Model, build, load
from .network import Network
from .prediction import Evaluations, Prediction, meter_work, metered
from .recipe import Recipe
from .schedule import Schedule, ScheduleConfig
from .space import LatentSpace, Space

__all__ = [
    "END",
    "PADDING",
    "START",
    "WORD",
    "Adapters",
    "Attention",
    "Autoencoder",
    "Batch",
    "Denoiser",
    "Evaluations",
    "GivenNetwork",
    "GivenParts",
    "LatentNetwork",
    "LatentSpace",
    "Layer",
    "Model",
    "Network",
    "Prediction",
    "Recipe",
    "ReportedValue",
    "SamplingBatch",
    "Schedule",
    "ScheduleConfig",
    "Space",
    "build",
    "load",
    "meter_work",
    "metered",
    "provide",
]  # fmt: skip
