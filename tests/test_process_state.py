"""The state of a process: whatever a plugin switches is put back, and named."""

from dataclasses import fields

import pytest
import torch

from solidmark.runner.process_state import GETTERS, SETTERS, Settings

B = torch.backends
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
    "flush denormal": lambda: torch.set_flush_denormal(True),
    "anomaly mode": lambda: torch.autograd.set_detect_anomaly(True),
}


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
    assert {name.replace("_", " ") for name in names} - {"folder"} == set(CHANGES)
    assert Settings(folder=str(tmp_path)).put_back() == []  # the defaults are those of a new process, with one thread


@pytest.mark.filterwarnings("ignore:Anomaly Detection")
@pytest.mark.parametrize("name", [name for name in CHANGES if "float32" not in name and "tf32" not in name])
def test_a_setting_that_a_run_began_with_is_put_back_whatever_it_was(name):
    plain = Settings.now()  # precisions are left out: torch has several names for one, and mixes them
    CHANGES[name]()
    begun = Settings.now()
    plain.put_back()
    assert name in begun.put_back()
    assert Settings.now() == begun
    plain.put_back()
