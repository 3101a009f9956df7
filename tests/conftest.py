"""One thread, the same Hypothesis examples, kept bytecode, secret of a collection, and meaning of an interrupt in every run.

Without the extra `test` those files are left out that need what is not installed, and the header says so.
"""

import ast
import importlib.util
import os
import re
import signal
import sys
from functools import cache
from pathlib import Path

import pytest
import torch

from solidmark import errors
from solidmark.collection import draws

EXTRAS = "accelerate cryptography hypothesis jsonschema opacus peft setuptools statsmodels transformers".split()
MISSING = {name for name in EXTRAS if importlib.util.find_spec(name) is None}
"""What the extra `test` installs and is not there."""

torch.set_num_threads(1)
# A hundred sessions import the same files. Where nothing compiled is kept, each compiles them anew, for most of its time.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell starts what runs in the background so
    signal.signal(signal.SIGINT, signal.default_int_handler)
if "hypothesis" not in MISSING:
    from hypothesis import settings

    settings.register_profile("solidmark", deadline=None, derandomize=True, database=None, max_examples=60)
    settings.load_profile("solidmark")


@cache
def heads(path):
    """The packages and files that a file imports outside functions. What uses `solidmark.pipelines` needs transformers."""
    left, named = list(ast.parse(path.read_text(encoding="utf-8")).body), set()
    while left:
        node = left.pop()
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            named |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.With | ast.If | ast.Try):
            left += node.body
    needs = {"transformers"} if any(name.startswith("solidmark.pipelines") for name in named) else set()
    return needs | {name.partition(".")[0] for name in named}


def imports(path, seen=()):
    """The packages that a file of this folder imports at its top, and those of the files beside it that it imports."""
    beside = [path.with_name(f"{name}.py") for name in heads(path) if path.with_name(f"{name}.py").exists()]
    return heads(path).union(*(imports(each, (*seen, path)) for each in beside if each not in seen))


def left_out(files):
    """Those of these files that cannot be imported here."""
    return [path.name for path in sorted(files) if imports(path) & MISSING]


collect_ignore = left_out(Path(__file__).parent.glob("test_*.py") if MISSING else ())


def pytest_report_header():
    if not MISSING:
        return None
    cure = "pip install -e '.[test]'"
    return f"{len(collect_ignore)} files of tests are left out, for {', '.join(sorted(MISSING))} is not installed: {cure}"


@pytest.fixture(scope="session", autouse=True)
def _same_keys_in_every_run():
    """One guess in twenty is certified somewhere: with a secret of its own each run would be another draw."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(draws, "fresh", lambda: bytes(32))
        yield


OURS = tuple(str(Path(__file__).parents[1] / room) for room in ("src/solidmark", "mitigations", "fixtures", "reports"))
CURE = re.compile(r".+[.?)]|pip install .*", re.DOTALL)
"""A sentence, or a command."""


@pytest.fixture(scope="session", autouse=True)
def _errors_end_with_their_cure():
    """What is made of an error of ours anywhere: found and expected are no sentences, and the cure is one."""
    made = errors.SolidmarkError.__init__

    def checked(self, where, found, expected, cure):
        if sys._getframe(1).f_code.co_filename.startswith(OURS):
            assert where, "an error that does not say where"
            assert CURE.fullmatch(cure), f"{where}: the cure is {cure!r}"
            assert not re.search(r"[a-z]\. *$", expected), f"{where}: expected is a sentence, {expected!r}"
        made(self, where, found, expected, cure)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(errors.SolidmarkError, "__init__", checked)
        yield
