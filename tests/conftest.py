"""One thread, and the same Hypothesis examples in every run."""

import torch
from hypothesis import settings

torch.set_num_threads(1)
settings.register_profile("solidmark", deadline=None, derandomize=True, database=None, max_examples=60)
settings.load_profile("solidmark")
