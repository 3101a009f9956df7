"""Devices: which worker gets which GPU, tested with lists of GPUs that are not there."""

import subprocess
import sys
from types import SimpleNamespace

import pynvml
import pytest

from solidmark import pytest_plugin
from solidmark.errors import InvalidValue
from solidmark.runner import devices


@pytest.mark.parametrize(
    ("stated", "gpus"),
    [
        ("0,1", ["0", "1"]),
        ("GPU-ab, MIG-cd", ["GPU-ab", "MIG-cd"]),
        ("", []),
        ("-1", []),
        ("2,-1,3", ["2"]),
        ("NoDevFiles", ["NoDevFiles"]),
    ],
)
def test_visible_gpus_are_those_that_cuda_would_see(stated, gpus):
    assert devices.visible_gpus({"CUDA_VISIBLE_DEVICES": stated}) == gpus


@pytest.mark.parametrize("absent", [pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED])
def test_a_machine_without_a_driver_has_no_gpu(monkeypatch, absent):
    monkeypatch.setattr(pynvml, "nvmlInit", lambda: raising(pynvml.NVMLError(absent)))
    assert devices.visible_gpus({}) == []


def test_a_driver_that_does_not_answer_is_no_machine_without_gpus(monkeypatch):
    broken = pynvml.NVMLError(pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH)
    monkeypatch.setattr(pynvml, "nvmlInit", lambda: raising(broken))
    with pytest.raises(InvalidValue, match=r"GPUs, by NVML.*CUDA_VISIBLE_DEVICES=-1"):
        devices.visible_gpus({})


def raising(error):
    raise error


def test_auto_means_one_worker_a_gpu_or_one_a_core():
    assert devices.workers(["a", "b", "c"], each=1) == 3
    assert devices.workers(["a", "b"], each=2) == 4
    assert devices.workers([], each=2, cores=8) == 8


def test_workers_are_dealt_over_the_gpus():
    given = [devices.worker_environment(index, ["a", "b"], 4, {})["CUDA_VISIBLE_DEVICES"] for index in range(4)]
    assert given == ["a", "b", "a", "b"]
    assert "CUDA_VISIBLE_DEVICES" not in devices.worker_environment(0, [], 2, {})


def test_what_the_caller_sets_wins():
    assert "OMP_NUM_THREADS" not in devices.worker_environment(0, [], 2, {"OMP_NUM_THREADS": "7"})


def config(**option):
    option = {"numprocesses": "auto", **option}
    return SimpleNamespace(
        option=SimpleNamespace(**option), args=["solidmark.benchmark"], getini=lambda name: False, getoption=lambda name: 1
    )


def test_workers_are_pinned_before_they_start(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b,GPU-c")
    specs = [SimpleNamespace(env={}) for _ in range(3)]
    assert pytest_plugin.pytest_xdist_auto_num_workers(config()) == 3
    pytest_plugin.pytest_xdist_setupnodes(config(), specs)
    assert [spec.env["CUDA_VISIBLE_DEVICES"] for spec in specs] == ["GPU-a", "GPU-b", "GPU-c"]


def test_other_peoples_tests_keep_their_own_workers(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a")
    theirs = config()
    theirs.args, theirs.invocation_params = ["tests"], SimpleNamespace(dir=devices_folder())
    assert pytest_plugin.pytest_xdist_auto_num_workers(theirs) is None


def devices_folder():
    from pathlib import Path

    return Path(devices.__file__).parent


def test_the_controller_imports_no_torch_and_starts_no_device():
    modules = "solidmark.pytest_plugin, solidmark.runner.session, solidmark.runner.controller"
    code = f"import sys, {modules}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
