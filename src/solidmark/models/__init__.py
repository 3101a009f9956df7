"""Models: the trained denoiser with its conditioning and schedule, and the perfect memorizer."""

from .attention import Attention, Layer
from .batch import Batch, SamplingBatch
from .conditioning import END, PADDING, START, WORD
from .denoiser import Denoiser, ReportedValue
from .model import Model, build, load
from .network import Network
from .prediction import Evaluations, Prediction
from .recipe import Recipe
from .schedule import Schedule, ScheduleConfig

__all__ = [
    "END",
    "PADDING",
    "START",
    "WORD",
    "Attention",
    "Batch",
    "Denoiser",
    "Evaluations",
    "Layer",
    "Model",
    "Network",
    "Prediction",
    "Recipe",
    "ReportedValue",
    "SamplingBatch",
    "Schedule",
    "ScheduleConfig",
    "build",
    "load",
]  # fmt: skip
