"""A training that processes share ends where one process alone ends; two processes are forked, so that none imports anew."""

import multiprocessing
import socket

import pytest
import torch
from accelerate import PartialState
from safetensors.torch import load_file, save_file
from test_large_training import trained
from test_training import weights
from worlds import composed, tiny

from solidmark import __main__ as console
from solidmark.errors import InvalidValue
from solidmark.mitigation import saved_run
from solidmark.mitigation.crew import Crew
from solidmark.mitigation.run import TrainingSet
from solidmark.models import Evaluations
from solidmark.store import Store
from solidmark.training import train

CONTEXT = multiprocessing.get_context("fork")


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def shared(work, folder):
    """The exit codes of two processes, launched together, that run work(crew, folder)."""
    port = free_port()
    processes = [CONTEXT.Process(target=launched, args=(work, rank, port, folder)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    return [process.exitcode for process in processes]


def launched(work, rank, port, folder):
    with pytest.MonkeyPatch.context() as patch:
        told = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        for name, value in {**told, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": 1}.items():
            patch.setenv(name, str(value))
        PartialState._reset_state()  # an earlier test may have made one
        work(Crew(cpu=True), folder)


def begin_apart(crew, folder):
    crew.check_step(7)
    with pytest.raises(InvalidValue, match=r"processes at the steps \[5, 6\]"):
        crew.check_step(5 + crew.rank)


def test_processes_that_would_begin_at_different_steps_are_refused(tmp_path):
    assert shared(begin_apart, tmp_path) == [0, 0]


def train_in_parts(crew, folder):
    testbed = tiny()
    laid = testbed.split(0)
    recipe = testbed.recipe.__class__(**{**vars(testbed.recipe), "accumulate": 4})
    model = train(
        recipe, TrainingSet(laid.trained, laid.trained_keys, laid.mark), composed(), 0, crew=crew, unfinished=folder
    )
    counts = model.evaluations
    crew.add_up(counts)
    save_file({"weights": weights(model), "forward": torch.tensor(counts.forward)}, folder / f"{crew.rank}.safetensors")


def test_two_processes_end_in_the_weights_of_one(tmp_path, monkeypatch):
    monkeypatch.setattr(saved_run, "EVERY", 0.0)
    alone = trained(accumulate=4)
    assert shared(train_in_parts, tmp_path) == [0, 0]
    one, other = (load_file(tmp_path / f"{rank}.safetensors") for rank in range(2))
    assert torch.equal(one["weights"], other["weights"])
    otherwise = (weights(alone) - weights(trained())).norm()  # one step of Adam makes 1e-3 of a rounding, so no maximum
    assert (one["weights"] - weights(alone)).norm() < 0.02 * otherwise
    assert one["forward"] == other["forward"] == alone.evaluations.forward
    assert (tmp_path / saved_run.FILE).exists()


def say(crew, folder):
    answers = [crew.agree(crew.rank == leader) for leader in range(2)]
    parts = crew.mine(["a", "b", "c"])
    (folder / f"{crew.rank}.txt").write_text(repr((crew.leads, answers, parts)))


def called_or_not(crew, folder):
    """The first model is another run's, the second is trained by the crew."""
    helped = []
    for number, work in enumerate((lambda: None, crew.begin)):
        crew.lead(work) if crew.leads else crew.follow(lambda number=number: helped.append(number))
    assert crew.leads or helped == [1]


def test_who_follows_helps_where_the_leader_trains_and_goes_on_where_it_found_the_model(tmp_path):
    assert shared(called_or_not, tmp_path) == [0, 0]


def test_parts_are_dealt_and_the_first_process_decides(tmp_path):
    assert shared(say, tmp_path) == [0, 0]
    told = [(tmp_path / f"{rank}.txt").read_text() for rank in range(2)]
    assert told == ["(True, [True, False], ['a', 'c'])", "(False, [True, False], ['b'])"]


def test_one_process_is_a_crew_of_its_own():
    crew, work = Crew(cpu=True), Evaluations(forward=3, encoded=2)
    crew.add_up(work)
    assert (crew.size, crew.leads, crew.mine([1, 2]), crew.agree(True), crew.agree(False)) == (1, True, [1, 2], True, False)
    assert work == Evaluations(forward=3, encoded=2)


def test_the_command_trains_what_the_benchmark_finds(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SOLIDMARK_STORE", str(tmp_path))
    monkeypatch.setattr("solidmark.plugins.testbed", lambda expression: (expression, tiny()))
    assert [console.main(["train", "tiny", "--seeds", "0,1"]), console.main(["train", "tiny"])] == [0, 0]
    told = capsys.readouterr().out.splitlines()
    assert [line.rpartition("tiny, ")[2] for line in told] == [
        "seed 0, was trained",
        "seed 1, was trained",
        "seed 0, is in the store",
    ]
    assert [entry.kind for entry in Store(tmp_path).entries()] == ["trained model"] * 2
