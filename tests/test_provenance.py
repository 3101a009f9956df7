"""Provenance: what explains a record years later, and nothing that is nobody's business."""

import subprocess
from dataclasses import dataclass

import pytest

from solidmark import provenance


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


def test_edited_sources_have_another_digest(tmp_path, monkeypatch):
    before = provenance.core_digest(provenance.TRAINING)
    for module in provenance.TRAINING:
        (tmp_path / f"{module}.py").write_text("changed")
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "provenance.py"))
    assert provenance.core_digest(provenance.TRAINING) == before, "an edit during a process is not what it runs"
    assert provenance.core_digest.__wrapped__(provenance.TRAINING) != before
