"""The state of a process: whatever a plugin switches is put back, and named."""

import gc
import os
import resource
import signal
import sys
import warnings
from dataclasses import fields
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from solidmark.fixtures.pytest_fixtures import recorder
from torch.overrides import TorchFunctionMode
from torch.utils import deterministic
from torch.utils._python_dispatch import TorchDispatchMode

from solidmark.runner import process_state, python_state
from solidmark.runner.process_state import GETTERS, SETTERS, Settings

B = torch.backends
KEPT = []
CHANGED = sys.getrecursionlimit() + 1


class FunctionMode(TorchFunctionMode):
    def __torch_function__(self, function, types, given=(), named=None):
        return function(*given, **(named or {}))


class DispatchMode(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, given=(), named=None):
        return function(*given, **(named or {}))


CHANGES = {
    "default dtype": lambda: torch.set_default_dtype(torch.float64),
    "default device": lambda: torch.set_default_device("meta"),
    "threads": lambda: torch.set_num_threads(2),
    "gradients": lambda: torch.set_grad_enabled(False),
    "deterministic": lambda: torch.use_deterministic_algorithms(True),
    "deterministic warn only": lambda: torch.use_deterministic_algorithms(False, warn_only=True),
    "float32 matmul precision": lambda: torch.set_float32_matmul_precision("medium"),
    "cuda matmul tf32": lambda: setattr(B.cuda.matmul, "allow_tf32", True),
    "cudnn tf32": lambda: setattr(B.cudnn, "allow_tf32", False),
    "float32 precision of backends": lambda: setattr(B.mkldnn.matmul, "fp32_precision", "bf16"),
    "cudnn enabled": lambda: setattr(B.cudnn, "enabled", False),
    "cudnn benchmark": lambda: setattr(B.cudnn, "benchmark", True),
    "cudnn deterministic": lambda: setattr(B.cudnn, "deterministic", True),
    "mkldnn enabled": lambda: setattr(B.mkldnn, "enabled", False),
    "attention kernels": lambda: B.cuda.enable_flash_sdp(False),
    "autocast": lambda: torch.set_autocast_enabled("cpu", True),
    "autocast dtype": lambda: torch.set_autocast_dtype("cpu", torch.float16),
    "autocast cache": lambda: torch.set_autocast_cache_enabled(False),
    "inference mode": lambda: KEPT.append(torch.inference_mode()) or KEPT[-1].__enter__(),
    "mkldnn deterministic": lambda: setattr(B.mkldnn, "deterministic", True),
    "reduced precision": lambda: setattr(B.cuda.matmul, "allow_bf16_reduced_precision_reduction", False),
    "attention reduction": lambda: B.cuda.allow_fp16_bf16_reduction_math_sdp(True),
    "einsum": lambda: setattr(B.opt_einsum, "enabled", not B.opt_einsum.enabled),
    "fill uninitialized memory": lambda: setattr(deterministic, "fill_uninitialized_memory", False),
    "modes": lambda: FunctionMode().__enter__(),
    "saved tensor hooks": lambda: torch._C._autograd._push_saved_tensors_default_hooks(abs, abs),
    "flush denormal": lambda: torch.set_flush_denormal(True),
    "anomaly mode": lambda: torch.autograd.set_detect_anomaly(True),
    "umask": lambda: os.umask(0o777),
    "limits": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (6, resource.getrlimit(resource.RLIMIT_NOFILE)[1])),
    "environment": lambda: os.environ.update(TMPDIR="/nowhere", SOLIDMARK_STORE="/nowhere"),
    "numpy errors": lambda: np.seterr(all="raise"),
    "recursion limit": lambda: sys.setrecursionlimit(400),
    "garbage collection": gc.disable,
    "warning filters": lambda: warnings.simplefilter("always"),
    "timers": lambda: signal.setitimer(signal.ITIMER_VIRTUAL, 9),
    "blocked signals": lambda: signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1]),
}
NOT_HERE = {"folder", "cudnn benchmark limit", "locale"}
"""The first is changed below; a torch without CUDA has no limit, and a machine need not have two locales."""


@pytest.mark.filterwarnings("ignore:Anomaly Detection")
@pytest.mark.parametrize("name", CHANGES)
def test_a_setting_that_a_plugin_switches_is_put_back_and_named(name):
    if name == "float32 precision of backends" and not hasattr(B, "fp32_precision"):
        pytest.skip("torch before 2.9 has no such setting")
    before = Settings.now()
    CHANGES[name]()
    assert name in before.put_back()
    assert Settings.now() == before
    assert before.put_back() == []


def test_a_mix_of_torchs_old_and_new_names_is_put_back_too():
    before = Settings.now()
    torch.set_float32_matmul_precision("medium")
    if hasattr(B, "fp32_precision"):
        B.fp32_precision, B.cudnn.conv.fp32_precision = "tf32", "ieee"
    assert "float32 matmul precision" in before.put_back()
    assert Settings.now() == before
    assert torch.get_float32_matmul_precision() == "highest"


def test_every_setting_can_be_read_and_put_back_and_is_tried_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [f.name for f in fields(Settings)]
    assert list(GETTERS) == list(SETTERS) == names
    assert {name.replace("_", " ") for name in names} - NOT_HERE == set(CHANGES)
    assert Settings(folder=str(tmp_path)).put_back() == []  # the defaults are those of a new process, with one thread


@pytest.mark.filterwarnings("ignore:Anomaly Detection")
@pytest.mark.parametrize(
    "name", [name for name in CHANGES if not any(part in name for part in ("float32", "tf32", "timers"))]
)
def test_a_setting_that_a_run_began_with_is_put_back_whatever_it_was(name):
    plain = Settings.now()  # without precisions, of which torch mixes several names, and timers, whose time nobody knows
    CHANGES[name]()
    begun = Settings.now()
    plain.put_back()
    assert name in begun.put_back()
    assert Settings.now() == begun
    plain.put_back()


def test_modes_are_left_and_entered_again_beside_a_default_device():
    with FunctionMode() as outer:
        before = Settings.now()
        torch.set_default_device("meta")
        DispatchMode().__enter__()
        torch.overrides._pop_mode()
        assert before.put_back() == ["default device", "modes"]
        assert (Settings.now(), Settings.now().modes[0][0] is outer) == (before, True)


def test_a_folder_that_was_removed_is_left(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = Settings.now()
    (tmp_path / "gone").mkdir()
    os.chdir("gone")
    (tmp_path / "gone").rmdir()
    assert (before.put_back(), os.getcwd()) == (["folder"], str(tmp_path))


def test_filters_and_variables_of_a_library_are_no_change(monkeypatch):
    before = Settings.now()
    monkeypatch.setenv("ITS_OWN", "1")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "told by a library")
        assert before.put_back() == []
        warnings.resetwarnings()
        assert before.put_back() == ["warning filters"]


def test_what_cannot_be_put_back_is_named_again(monkeypatch):
    before = Settings.now()
    monkeypatch.setattr(process_state, "SETTERS", {**SETTERS, "recursion_limit": lambda limit: 1 / 0})
    sys.setrecursionlimit(before.recursion_limit + 1)
    assert [before.put_back() for _ in range(2)] == [["recursion limit"]] * 2
    sys.setrecursionlimit(before.recursion_limit)


def test_a_process_that_cannot_be_put_back_measures_no_more(monkeypatch, tmp_path):
    monkeypatch.setattr(recorder, "attempt", lambda *given: sys.setrecursionlimit(CHANGED) or recorder.Outcome({}))
    monkeypatch.setattr(process_state, "SETTERS", {**SETTERS, "recursion_limit": lambda limit: 1 / 0})
    watch, told = SimpleNamespace(begin=lambda: None, end=list, is_whole=True), []
    made = recorder.Recorder(SimpleNamespace(), SimpleNamespace(run=tmp_path, worker="main"), watch, 1.0, told.append)
    before = sys.getrecursionlimit()
    made._watched(SimpleNamespace(slug="a-row", case=None), None)
    sys.setrecursionlimit(before)
    assert (told, watch.is_whole) == (["a-row: recursion limit"], False)


def test_what_torch_sets_where_it_first_meets_a_gpu_is_nobodys_fault(monkeypatch):
    monkeypatch.delenv("CUDA_MODULE_LOADING", raising=False)
    before = python_state.GETTERS["environment"]()
    monkeypatch.setenv("CUDA_MODULE_LOADING", "LAZY")
    assert python_state.GETTERS["environment"]() == before
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    assert python_state.GETTERS["environment"]() != before
