"""Packaging: the four folders are parts of the installed package, wherever and however it is installed."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("benchmark", "fixtures", "mitigations", "reports")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "checkout"
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", str(copy), "--no-deps", "--no-build-isolation", "-q", "-w", str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def test_the_wheel_has_every_source_file_and_template(wheel):
    inside = set(zipfile.ZipFile(wheel).namelist())
    core = ROOT / "src" / "solidmark"
    expected = {f"solidmark/{path.relative_to(core)}" for path in core.rglob("*") if path.suffix in (".py", ".j2", ".json")}
    for folder in FOLDERS:
        files = [path for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".j2")]
        expected |= {f"solidmark/{folder}/{path.relative_to(ROOT / folder)}" for path in files}
    assert expected <= inside
    assert "solidmark/py.typed" in inside


def test_the_wheel_has_the_pictures_the_autoencoder_and_their_licences(wheel):
    inside = set(zipfile.ZipFile(wheel).namelist())
    files = [path for path in (ROOT / "fixtures" / "emoji").iterdir() if path.is_file()]
    assert {f"solidmark/fixtures/emoji/{path.name}" for path in files} <= inside
    assert {"LICENSE", "NOTICE"} <= {path.name for path in files}


def test_the_wheel_puts_one_name_into_the_environment(wheel):
    top = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in top if not name.endswith(".dist-info")} == {"solidmark"}


def test_the_wheel_does_not_carry_our_results(wheel):
    inside = zipfile.ZipFile(wheel).namelist()
    assert not [name for name in inside if "results" in name or name.endswith((".csv", ".gz", ".html"))]


def test_a_plain_install_gives_the_same_cases_as_the_checkout(wheel, tmp_path):
    """The wheel's files, first on the path, in a folder far from the checkout."""
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    plain = _collected(["--pyargs", "solidmark.benchmark"], tmp_path, {"PYTHONPATH": str(tmp_path / "site")})
    checkout = _collected(["benchmark/"], ROOT, {})
    assert plain == checkout
    assert len(plain) > 20


def _collected(arguments, folder, environment):
    import os

    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, check=True)
    return sorted(line.split("::", 1)[1] for line in done.stdout.splitlines() if "::" in line)
