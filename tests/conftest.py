"""One thread, the same Hypothesis examples, secret of a marked collection, and meaning of an interrupt in every run."""

import signal

import pytest
import torch
from hypothesis import settings

from solidmark.collection import draws

torch.set_num_threads(1)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell starts what runs in the background so
    signal.signal(signal.SIGINT, signal.default_int_handler)
settings.register_profile("solidmark", deadline=None, derandomize=True, database=None, max_examples=60)
settings.load_profile("solidmark")


@pytest.fixture(scope="session", autouse=True)
def _same_keys_in_every_run():
    """One guess in twenty is certified somewhere: with a secret of its own each run would be another draw."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(draws, "fresh", lambda: bytes(32))
        yield
