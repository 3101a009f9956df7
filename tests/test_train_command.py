"""`solidmark train` with stated neighbours: who trains, who helps, what is told; and the doctor's folders."""

import os
import tempfile
from argparse import Namespace
from types import SimpleNamespace

import pytest

from solidmark import plugins
from solidmark.cli import doctor, training
from solidmark.cli.written import written
from solidmark.errors import InvalidValue
from solidmark.measurement import weights
from solidmark.mitigation import crew as crews
from solidmark.runner import devices


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """A crew of as many as is said, of which this process leads or not; what it does is noted."""
    seen = SimpleNamespace(done=[], size=1, leads=True, there={1}, rows=[], cpu=[])

    class Crew:
        def __init__(self, *, cpu):
            seen.cpu.append(cpu)
            self.size, self.leads, self.device = seen.size, seen.leads, "meta"

        def lead(self, work):
            seen.done.append(("lead", *work()))

        def follow(self, work):
            seen.done.append(("follow", *work()))

    recipe = SimpleNamespace(accumulate=4)
    testbed = SimpleNamespace(recipe=recipe, check_rows=lambda count, forgetting: seen.rows.append((count, forgetting)))
    monkeypatch.setattr(crews, "Crew", Crew)
    monkeypatch.setattr(devices, "torch_device", lambda: "cuda")
    monkeypatch.setattr(plugins, "testbed", lambda expression: (f"name of {expression}", testbed))
    monkeypatch.setattr(weights, "is_trained", lambda case, workspace: case.seed in seen.there)
    for name in ("train_or_load", "help_to_train"):
        monkeypatch.setattr(weights, name, lambda case, workspace, name=name: (name, case, workspace))
    monkeypatch.setenv("SOLIDMARK_STORE", str(tmp_path))
    return seen


@pytest.mark.parametrize("size", [1, 2])
def test_who_leads_trains_each_seed_and_says_what_became_of_it(asked, capsys, tmp_path, size):
    asked.size = size
    assert training._train(Namespace(testbed="t", seeds="1-2")) == 0
    assert [(who, what, case.seed) for who, what, case, _ in asked.done] == [
        ("lead", "train_or_load", 1), ("lead", "train_or_load", 2),
    ]  # fmt: skip
    _, _, case, workspace = asked.done[0]
    assert (case.testbed_name, case.composition.label, case.queries) == ("name of t", "none", ())
    assert (workspace.store.root, workspace.device, workspace.crew is not None) == (tmp_path, "meta", size > 1)
    assert (asked.rows, asked.cpu) == ([(1, False)], [False])
    assert capsys.readouterr().out.splitlines() == [
        "solidmark: the model of name of t, seed 1, is in the store",
        "solidmark: the model of name of t, seed 2, was trained",
    ]


def test_who_follows_helps_and_says_nothing(asked, capsys):
    asked.size, asked.leads = 4, False
    assert training._train(Namespace(testbed="t", seeds="1,2")) == 0
    assert [(who, what, case.seed) for who, what, case, _ in asked.done] == [
        ("follow", "help_to_train", 1), ("follow", "help_to_train", 2),
    ]  # fmt: skip
    assert capsys.readouterr().out == ""


def test_every_process_works_on_as_many_parts(asked, monkeypatch):
    asked.size = 3
    monkeypatch.setattr(devices, "torch_device", lambda: "cpu")
    with pytest.raises(InvalidValue, match=r"train name of t: found 3 processes and batches of 4 parts; .* multiple of 3"):
        training._train(Namespace(testbed="t", seeds="1"))
    assert (asked.done, asked.cpu) == ([], [True])


def test_a_template_without_one_of_its_values_is_refused():
    with pytest.raises(Exception, match="'method' is undefined"):
        written("module.py.j2", name="x", module="x")


# The doctor


def test_room_and_locks_are_examined_where_the_store_is(tmp_path, monkeypatch):
    monkeypatch.setenv("SOLIDMARK_STORE", str(tmp_path / "deep" / "store"))
    seen, file, folder = [], tempfile.NamedTemporaryFile, tempfile.TemporaryDirectory
    monkeypatch.setattr(doctor.tempfile, "NamedTemporaryFile", lambda **more: seen.append(more) or file(**more))
    monkeypatch.setattr(doctor.tempfile, "TemporaryDirectory", lambda **more: seen.append(more) or folder(**more))
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda root: SimpleNamespace(free=doctor.ROOM + 1))
    for _ in range(2):
        assert doctor._store() == doctor.Diagnosis("store", f"{tmp_path / 'deep' / 'store'}, 0.5 GB free", True)
    assert doctor._locks() == doctor.Diagnosis("locks", "work on the store's file system")
    assert seen == [{"dir": tmp_path / "deep" / "store"}] * 3
    assert os.listdir(tmp_path / "deep" / "store") == []
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda root: SimpleNamespace(free=doctor.ROOM))
    assert not doctor._store().sound


def test_a_second_handle_that_gets_the_lock_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("SOLIDMARK_STORE", str(tmp_path))
    waited = []
    monkeypatch.setattr(doctor.FileLock, "acquire", lambda self, timeout=None: waited.append(timeout))
    found = doctor._locks()
    assert (found.sound, found.text.endswith("never wrongly"), waited[-1]) == (False, True, 0)
