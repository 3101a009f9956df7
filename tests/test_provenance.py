"""Provenance: what explains a record years later, and nothing that is nobody's business."""

import hashlib
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace

import pytest
from worlds import tiny

from solidmark import provenance
from solidmark.measurement import weights
from solidmark.measurement.case import Case, Workspace
from solidmark.mitigation.composition import Composition
from solidmark.models import Autoencoder, LatentNetwork, Recipe
from solidmark.sampling import SolverConfig
from solidmark.store import Store
from solidmark.training import train


def git(folder, *words):
    subprocess.run(
        ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b", *words], check=True, capture_output=True
    )


def test_a_checkout_tells_its_commit_and_whether_it_was_changed(tmp_path):
    git(tmp_path, "init")
    (tmp_path / "file").write_text("one")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    clean = provenance.code(tmp_path)
    (tmp_path / "file").write_text("two")
    changed = provenance.code(tmp_path)
    assert len(clean["commit"]) == 40
    assert (clean["dirty"], changed["dirty"]) == (False, True)
    assert changed["diff_sha256"]


def test_outside_a_checkout_the_commit_is_null_with_a_reason(tmp_path):
    assert provenance.code(tmp_path) == {"commit": None, "dirty": None, "reason": "not run from a git checkout"}


def committed(folder, content):
    """A checkout with one file."""
    git(folder, "init")
    (folder / "file").write_bytes(content)
    git(folder, "add", ".")
    git(folder, "commit", "-m", "first")
    return folder


def test_a_change_in_any_encoding_is_recorded(tmp_path):
    folder = committed(tmp_path, b"one\n")
    digests = set()
    for content in (b"caf\xe9\n", b"caf\xe8\n"):
        (folder / "file").write_bytes(content)
        digests.add(provenance.code(folder)["diff_sha256"])
    assert len(digests) == 2


def test_a_checkout_that_git_refuses_is_reported_in_gits_own_words(tmp_path, monkeypatch):
    committed(tmp_path, b"one")
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert "dubious ownership" in provenance.code(tmp_path)["reason"]


def test_a_machine_without_git_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert provenance.code(tmp_path)["reason"] == "git did not answer: FileNotFoundError"


def test_a_checkout_around_an_installed_package_is_not_its_source(tmp_path):
    committed(tmp_path, b"somebody's own project")
    package = tmp_path / ".venv" / "solidmark"
    package.mkdir(parents=True)
    assert provenance.code(package)["commit"] is None


def test_only_named_variables_of_the_environment_are_recorded(monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "hush")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    facts = provenance.run(["/usr/bin/pytest", "benchmark/"], [])
    assert facts["environment"]["OMP_NUM_THREADS"] == "3"
    assert "hush" not in str(facts)
    assert facts["arguments"] == ["pytest", "benchmark/"]


def test_a_description_has_every_field_and_the_class():
    @dataclass(frozen=True)
    class Inner:
        size: int = 2

    @dataclass(frozen=True)
    class Outer:
        inner: Inner = Inner()
        names: tuple[str, ...] = ("a",)

    described = provenance.describe(Outer())
    assert described["inner"]["size"] == 2
    assert described["names"] == ["a"]
    assert described["class"].endswith("Outer")


def test_what_has_no_one_description_is_refused():
    with pytest.raises(TypeError, match="no one description"):
        provenance.describe(object())


def test_comparability_is_device_torch_and_precision():
    assert provenance.environment_key("cuda:1").startswith("cuda-torch")
    assert provenance.environment_key("cpu") != provenance.environment_key("cuda")


@pytest.fixture
def copied_core(tmp_path, monkeypatch):
    """A copy of the core's source that a test may edit; each call of `edit` is a new process as far as digests know."""

    def edit(module: str, old: str, new: str) -> None:
        path = tmp_path / f"{module}.py"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))
        provenance._code.cache_clear()

    shutil.copytree(provenance.CORE, tmp_path, dirs_exist_ok=True)
    monkeypatch.setattr(provenance, "CORE", tmp_path)
    yield edit
    provenance._code.cache_clear()


@pytest.fixture
def trainings(tmp_path, monkeypatch):
    """Ask for a trained model: how many trainings there have been since the store was empty."""
    count = []
    monkeypatch.setattr(weights, "train", lambda *a, **named: (count.append(1), train(*a, **named))[1])
    workspace, testbed = Workspace(Store(tmp_path / "store")), tiny()

    def ask() -> int:
        weights.train_or_load(Case("tiny", testbed, Composition(), 0, ()), workspace)
        return len(count)

    return ask


def test_an_edited_comment_or_docstring_of_the_core_finds_the_stored_model(copied_core, trainings):
    assert trainings() == 1
    copied_core("testbed", '"""A testbed: which', '"""A testbed, in other words: which')
    copied_core("training", "import math", "import math  # for isfinite\n\n")
    assert trainings() == 1


def test_an_edited_formula_of_the_core_trains_anew(copied_core, trainings):
    assert trainings() == 1
    copied_core("models/recipe", "self.learning_rate * min(rising, falling)", "self.learning_rate * max(rising, falling)")
    assert trainings() == 2


def test_an_edit_during_a_process_is_not_what_it_runs(copied_core):
    before = provenance.core_digest(provenance.TRAINING)
    (provenance.CORE / "training.py").write_text("changed = True")
    assert provenance.core_digest(provenance.TRAINING) == before
    provenance._code.cache_clear()
    assert provenance.core_digest(provenance.TRAINING) != before


def test_every_module_that_a_training_imports_is_part_of_its_key():
    """But for the judge and the solver that a testbed names, limits of time, and the schema, which decide no weight."""
    names = "*(m for m in sys.modules if m.startswith('solidmark.'))"
    code = f"import sys, solidmark.training, solidmark.testbed; print({names})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    rooms = {name.split(".")[1] for name in loaded}
    assert rooms - set(provenance.TRAINING) == {
        "errors",
        "progress",
        "provenance",
        "timeouts",
        "metrics",
        "sampling",
        "schema",
    }


def test_another_version_of_a_library_trains_anew(trainings, monkeypatch):
    assert trainings() == 1
    monkeypatch.setattr(provenance, "libraries", lambda: {"diffusers": "0.0"})
    assert trainings() == 2


@pytest.mark.parametrize(
    ("source", "same"),
    [
        ('"""Doc."""\nx = 1\n', True),
        ("x = (\n    1  # one\n)\n", True),
        ("x = 2\n", False),
        ('x = 1\n"""The note under an attribute."""\n', True),
        ("x = '1'\n", False),
    ],
)
def test_source_is_known_by_what_it_computes(source, same):
    assert (provenance.code_digest(source.encode()) == provenance.code_digest(b"x = 1")) is same


def test_a_class_that_moves_to_another_module_keeps_its_description():
    here, there = (dataclass(frozen=True)(type("Moved", (), {"__module__": name})) for name in ("one.place", "two.place"))
    assert provenance.describe(here()) == provenance.describe(there())


@pytest.mark.parametrize(
    ("older", "name", "value"),
    [
        (tiny(), "autoencoder", Autoencoder()),
        (SolverConfig(), "reencode", 2),
        (SolverConfig(), "renew_all", True),
        (LatentNetwork(), "vocabulary", ("a",)),
        (Autoencoder(), "sha256", "0" * 64),
        (Recipe(), "adapter_rank", 4),
        (Recipe(), "accumulate", 2),
        (Recipe(), "checkpointing", True),
    ],
)
def test_a_field_that_was_added_later_changes_no_older_name(older, name, value):
    assert name not in provenance.describe(older)
    assert provenance.describe(replace(older, **{name: value})).keys() - provenance.describe(older).keys() == {name}


@pytest.mark.parametrize(
    ("changed", "new", "dirty"), [(b"", b"", False), (b"x", b"", True), (b"", b"y", True), (b"x", b"y", True)]
)
def test_a_checkout_is_dirty_by_changed_or_by_new_files(monkeypatch, changed, new, dirty):
    told = {("rev-parse", "HEAD"): b"abc\n", ("ls-files", "--", "."): b"f", provenance.DIFF: changed, provenance.NEW: new}
    monkeypatch.setattr(provenance, "_git", lambda folder, *words: (told[words], ""))
    digest = hashlib.sha256(changed + new).hexdigest() if dirty else None
    assert provenance.code() == {"commit": "abc", "dirty": dirty, "diff_sha256": digest}
