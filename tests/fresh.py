"""A fresh environment: its own interpreter and packages, beside those that the tests run with; no network is needed."""

import subprocess
import sys
import venv
from pathlib import Path

COMMANDS = {"solidmark": "-m solidmark", "pytest": "-m pytest", "pip": "-m pip"}
OFFLINE = {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
"""pip's own switches: `PIP_NO_BUILD_ISOLATION=0` means that the build takes the packages that are here."""


def environment(folder: Path) -> Path:
    """The folder of its commands."""
    venv.create(folder, with_pip=False, symlinks=True)
    site = next(folder.glob("lib/python*/site-packages"))
    shared = [path for path in sys.path if path.endswith("site-packages")]
    (site / "shared.pth").write_text("".join(f"import site; site.addsitedir({path!r})\n" for path in shared))
    for name, words in COMMANDS.items():
        script = folder / "bin" / name
        script.write_text(f'#!/bin/sh\nexec "{folder}/bin/python" {words} "$@"\n')
        script.chmod(0o755)
    return folder / "bin"


def install(commands: Path, package: Path) -> None:
    """What pip does with a folder."""
    done = subprocess.run(
        [commands / "pip", "install", "-q", package], env={**OFFLINE, "PATH": str(commands)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
