"""Sessions of pytest as processes of their own, forked from one that has imported the libraries.

To import torch, diffusers and SciPy takes longer than most sessions here. So a process beside each test worker, which
`multiprocessing` keeps, imports them once; nothing of solidmark, so that a session begins with it as a new process would.
"""

import os
import sys
import tempfile
import traceback
from multiprocessing import get_context
from pathlib import Path
from subprocess import CompletedProcess, TimeoutExpired

import quick_python

LIBRARIES = [
    "torch",
    "scipy.stats",
    "sklearn.datasets",
    "sklearn.linear_model",
    "pandas",
    "pyarrow.parquet",
    "diffusers.models.unets.unet_2d_condition",
]
SECONDS = 900
"""In which a session has to end."""

FORKING = get_context("forkserver")
FORKING.set_forkserver_preload(LIBRARIES)


def run(
    arguments: list[str], folder: Path, environment: dict[str, str], python: str = sys.executable
) -> "CompletedProcess[str]":
    """`python -m pytest` with these arguments in a folder: its exit code, and what it printed.

    `python` may be that of an environment of `fresh`, which adds packages to those of this interpreter.
    """
    with tempfile.TemporaryDirectory() as out:
        quick = quick_python.executable(FORKING, sys.executable)
        process = FORKING.Process(target=_session, args=(arguments, str(folder), environment, python, quick, out))
        process.start()
        process.join(SECONDS)
        if process.is_alive():
            process.kill()
            raise TimeoutExpired(arguments, SECONDS)
        printed = [Path(out, name).read_text(encoding="utf-8", errors="replace") for name in ("stdout", "stderr")]
        return CompletedProcess(arguments, process.exitcode, *printed)


def _session(arguments: list[str], folder: str, environment: dict[str, str], python: str, quick: str, out: str) -> None:
    """What the forked process does: become the one that was asked for, then run pytest."""
    for number, name in enumerate(("stdout", "stderr"), start=1):
        os.dup2(os.open(os.path.join(out, name), os.O_WRONLY | os.O_CREAT), number)
    own = python == sys.executable
    packages = [] if own else [str(path) for path in Path(python).parents[1].glob("lib/python*/site-packages")]
    quick_python.become(folder, environment, quick, packages)
    sys.path.insert(0, folder)
    import pytest

    sys.argv = [str(Path(pytest.__file__).with_name("__main__.py")), *arguments]
    code = 99
    try:
        code = int(pytest.main(arguments))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
