"""Devices: which worker gets which GPU, tested with lists of GPUs that are not there."""

import subprocess
import sys
from types import SimpleNamespace

import pynvml
import pytest

from solidmark import pytest_plugin
from solidmark.errors import InvalidValue
from solidmark.runner import devices

LOST = pynvml.NVML_ERROR_GPU_IS_LOST


@pytest.fixture
def driver(monkeypatch):
    """A driver with these GPUs: a UUID, a tuple of slices, or the error that is raised for it; an error for no driver."""

    def install(*gpus, absent=None):
        def ask(handle):
            gpu = gpus[handle] if isinstance(handle, int) else handle
            return (
                raising(pynvml.NVMLError(gpu))
                if isinstance(gpu, int)
                else f"GPU-m{handle}"
                if isinstance(gpu, tuple)
                else gpu
            )

        def mig(handle):
            return (1, 1) if isinstance(gpus[handle], tuple) else raising(pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED))

        def cut(handle, index):
            there = index < len(gpus[handle])
            return gpus[handle][index] if there else raising(pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND))

        monkeypatch.setattr(pynvml, "nvmlInit", lambda: raising(pynvml.NVMLError(absent)) if absent else None)
        monkeypatch.setattr(pynvml, "nvmlShutdown", lambda: None)
        monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", lambda: len(gpus))
        monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByIndex", lambda index: index)
        monkeypatch.setattr(pynvml, "nvmlDeviceGetUUID", ask)
        monkeypatch.setattr(pynvml, "nvmlDeviceGetMigMode", mig)
        monkeypatch.setattr(pynvml, "nvmlDeviceGetMaxMigDeviceCount", lambda handle: 7)
        monkeypatch.setattr(pynvml, "nvmlDeviceGetMigDeviceHandleByIndex", cut)

    return install


@pytest.mark.parametrize(
    ("stated", "gpus"),
    [
        ("0,1", ["0", "1"]),
        ("GPU-ab, GPU-cd", ["GPU-ab", "GPU-cd"]),
        ("", []),
        ("-1", []),
        ("1,-1,0", ["1"]),
        ("1,5,0", ["1"]),
        ("GPU-ab,GPU-of-another-machine", ["GPU-ab"]),
        ("MIG-s1", ["MIG-s1"]),
        ("MIG-GPU-ab/1/0", ["MIG-GPU-ab/1/0"]),
        ("NoDevFiles", []),
        ("none", []),
        ("void", []),
        ("all", []),
    ],
)
def test_visible_gpus_are_those_that_cuda_would_see(driver, stated, gpus):
    driver("GPU-abc", "GPU-cd", ("MIG-s1", "MIG-s2"))
    assert devices.visible_gpus({"CUDA_VISIBLE_DEVICES": stated}) == gpus


def test_a_gpu_that_is_divided_counts_as_its_slices(driver):
    driver("GPU-abc", ("MIG-s1", "MIG-s2"), ())
    assert devices.visible_gpus({}) == ["GPU-abc", "MIG-s1", "MIG-s2"]
    assert devices.notes({}) == ["GPU 2 is left out: it is divided by MIG and has no slice"]


def test_a_lost_gpu_is_left_out_and_named(driver):
    driver("GPU-a", LOST, "GPU-b")
    assert devices.visible_gpus({}) == ["GPU-a", "GPU-b"]
    assert devices.visible_gpus({"CUDA_VISIBLE_DEVICES": "0,1,2"}) == ["0", "2"]
    assert devices.notes({})[0].startswith("GPU 1 is left out: ")


def test_a_machine_whose_gpus_are_all_lost_is_no_machine_without_gpus(driver):
    driver(LOST, LOST)
    with pytest.raises(InvalidValue, match=r"GPU 0 is left out.*CUDA_VISIBLE_DEVICES=-1"):
        devices.visible_gpus({})


ABSENT = [pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED, pynvml.NVML_ERROR_NOT_SUPPORTED]


@pytest.mark.parametrize("absent", ABSENT)
@pytest.mark.parametrize("environment", [{}, {"CUDA_VISIBLE_DEVICES": "0"}])
def test_a_machine_without_a_driver_has_no_gpu(driver, monkeypatch, absent, environment):
    driver(absent=absent)
    monkeypatch.setattr(devices, "_torch_knows_gpus", lambda: False)
    devices._count_by_torch.cache_clear()
    assert devices.visible_gpus(environment) == []


@pytest.mark.parametrize(
    ("environment", "gpus"),
    [({}, ["0", "1"]), ({"CUDA_VISIBLE_DEVICES": "3,5,7"}, ["3", "5"]), ({"CUDA_VISIBLE_DEVICES": "-1"}, [])],
)
def test_gpus_without_nvml_are_counted_by_torch_in_another_process(driver, monkeypatch, environment, gpus):
    driver(absent=ABSENT[0])
    monkeypatch.setattr(devices, "_torch_knows_gpus", lambda: True)
    monkeypatch.setattr(devices, "COUNT", "import os; print('a banner'); print(2)")
    devices._count_by_torch.cache_clear()
    assert devices.visible_gpus(environment) == gpus
    devices._count_by_torch.cache_clear()


@pytest.mark.parametrize(
    ("version", "knows"),
    [
        ("cuda: Optional[str] = '12.8'\n", True),
        ("cuda: Optional[str] = None\nhip = '6.2'\n", True),
        ("cuda = None\n", False),
    ],
)
def test_a_torch_build_for_the_cpu_is_not_asked(tmp_path, monkeypatch, version, knows):
    (tmp_path / "version.py").write_text(version)
    spec = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: spec)
    assert devices._torch_knows_gpus() == knows


def test_a_driver_that_does_not_answer_is_no_machine_without_gpus(driver):
    driver(absent=pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH)
    with pytest.raises(InvalidValue, match=r"GPUs, by NVML.*CUDA_VISIBLE_DEVICES=-1"):
        devices.visible_gpus({})


def raising(error):
    raise error


def test_auto_means_one_worker_a_gpu_or_one_a_core():
    assert devices.workers(["a", "b", "c"], each=1) == 3
    assert devices.workers(["a", "b"], each=2) == 4
    assert devices.workers([], each=2, cores=8) == 8


@pytest.mark.parametrize(
    ("gains", "workers", "with_gpu"), [((True,), 4, 4), ((False,), 16, 0), ((True, False), 16, 4), ((True, True), 4, 4)]
)
def test_testbeds_that_gain_nothing_have_the_cores_that_gpus_leave(gains, workers, with_gpu):
    gpus = ["a", "b"]
    assert devices.workers(gpus, each=2, gains=gains, cores=16) == workers
    assert devices.workers_with_gpu(gpus, 2, gains, workers) == with_gpu


def test_of_few_workers_one_is_left_for_what_gains_nothing_and_a_single_one_has_the_gpu():
    assert [devices.workers_with_gpu(["a", "b"], 1, (True, False), count) for count in (1, 2, 3, 4)] == [1, 1, 2, 2]
    assert devices.workers(["a", "b"], each=1, gains=(True, False), cores=2) == 3
    assert devices.workers_with_gpu([], 1, (True,), 4) == 0


def test_workers_without_a_gpu_see_none():
    given = [devices.worker_environment(index, ["a", "b"], 4, {}, with_gpu=2) for index in range(4)]
    assert [one["CUDA_VISIBLE_DEVICES"] for one in given] == ["a", "b", "-1", "-1"]


def test_workers_are_dealt_over_the_gpus():
    given = [devices.worker_environment(index, ["a", "b"], 4, {})["CUDA_VISIBLE_DEVICES"] for index in range(4)]
    assert given == ["a", "b", "a", "b"]
    assert "CUDA_VISIBLE_DEVICES" not in devices.worker_environment(0, [], 2, {})


@pytest.mark.parametrize(("cores", "count", "threads"), [(4, 2, 2), (16, 3, 5), (2, 4, 1), (8, 1, 8), (8, 0, 8)])
def test_a_worker_has_its_share_of_the_cores(monkeypatch, cores, count, threads):
    monkeypatch.setattr(devices, "usable_cores", lambda: cores)
    assert devices.worker_environment(0, [], count, {})["OMP_NUM_THREADS"] == str(threads)
    assert devices.workers([], each=3) == cores


def test_the_cores_are_those_that_this_process_may_use(monkeypatch):
    monkeypatch.setattr(devices.os, "sched_getaffinity", lambda pid: {1, 5, 7}, raising=False)
    assert devices.usable_cores() == 3
    monkeypatch.delattr(devices.os, "sched_getaffinity")
    monkeypatch.setattr(devices.os, "cpu_count", lambda: None)
    assert devices.usable_cores() == 1


def test_a_worker_keeps_the_memory_that_it_frees():
    given = devices.worker_environment(0, [], 2, {"MALLOC_TRIM_THRESHOLD_": "1"})
    assert (given["MALLOC_MMAP_THRESHOLD_"], "MALLOC_TRIM_THRESHOLD_" in given) == (str(32 * 2**20), False)


def test_what_the_caller_sets_wins():
    assert "OMP_NUM_THREADS" not in devices.worker_environment(0, [], 2, {"OMP_NUM_THREADS": "7"})


def config(**option):
    option = {"numprocesses": "auto", **option}
    return SimpleNamespace(
        option=SimpleNamespace(**option),
        args=["solidmark.benchmark"],
        getini=lambda name: False,
        getoption=lambda name: option.get(name, 1),
        invocation_params=SimpleNamespace(dir=devices_folder()),
    )


def test_workers_are_pinned_before_they_start(driver, monkeypatch):
    driver("GPU-a", "GPU-b", "GPU-c")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b,GPU-c")
    monkeypatch.setattr(pytest_plugin, "_gains", lambda config: [True])
    specs = [SimpleNamespace(env={}) for _ in range(3)]
    assert pytest_plugin.pytest_xdist_auto_num_workers(config()) == 3
    pytest_plugin.pytest_xdist_setupnodes(config(), specs)
    assert [spec.env["CUDA_VISIBLE_DEVICES"] for spec in specs] == ["GPU-a", "GPU-b", "GPU-c"]


def test_other_peoples_tests_keep_their_own_workers(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a")
    theirs = config()
    theirs.args = ["tests"]
    assert pytest_plugin.pytest_xdist_auto_num_workers(theirs) is None


@pytest.mark.parametrize("stated", ["abc", "-1", "auto", "1.5"])
def test_a_number_of_workers_that_is_none_is_one_sentence(monkeypatch, stated):
    monkeypatch.setenv("PYTEST_XDIST_AUTO_NUM_WORKERS", stated)
    with pytest.raises(pytest.UsageError, match=r"PYTEST_XDIST_AUTO_NUM_WORKERS: found .*; expected a whole number"):
        pytest_plugin.pytest_xdist_auto_num_workers(config())
    monkeypatch.setenv("PYTEST_XDIST_AUTO_NUM_WORKERS", "3")
    assert pytest_plugin.pytest_xdist_auto_num_workers(config()) == 3


def test_no_worker_a_gpu_is_refused(monkeypatch):
    with pytest.raises(pytest.UsageError, match=r"--workers-per-gpu: found '0'"):
        pytest_plugin.pytest_xdist_auto_num_workers(config(solidmark_workers_per_gpu=0))


def devices_folder():
    from pathlib import Path

    return Path(devices.__file__).parent


def test_the_controller_imports_no_torch_and_starts_no_device():
    modules = "solidmark.pytest_plugin, solidmark.runner.session, solidmark.runner.controller"
    code = f"import sys, {modules}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
