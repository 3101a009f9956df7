"""Commands of documents and of continuous integration: each is read by the parser that will read it."""

import re
import shlex
from pathlib import Path

import pytest

from solidmark import __main__ as console
from solidmark.runner.options import with_long_names
from solidmark.runner.shards import Shard

ROOT = Path(__file__).parents[1]
SLURM = {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "8"}
DOCUMENTS = ["README.md", "CONTRIBUTING.md", "results/README.md", "design/many_machines.md"]
DOCUMENTS += sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))


def scripts(document):
    """The lines of its blocks of shell, continued lines joined."""
    text = (ROOT / document).read_text()
    blocks = [
        body for kind, body in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE) if kind in ("", "sh")
    ]
    return [line.strip() for block in blocks for line in block.replace("\\\n", " ").splitlines() if line.strip()]


def commands(lines, name):
    """The arguments of each command of that name; variables of a SLURM array have values."""
    found = []
    for line in lines:
        for variable, value in SLURM.items():
            line = line.replace(f"${variable}", value)
        words = [Path(word).name if word.endswith(f"/{name}") else word for word in shlex.split(line, comments=True)]
        found += [words[words.index(name) + 1 :]] if name in words and "&&" not in words and "=" not in words[0] else []
    return found


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_of_the_console_can_be_read(document):
    for words in commands(scripts(document), "solidmark"):
        assert console.parser().parse_args(words).command, words


@pytest.mark.parametrize("document", DOCUMENTS)
def test_options_of_pytest_can_be_read(document, pytestconfig):
    for words in commands(scripts(document), "pytest"):
        read = pytestconfig._parser.parse_known_and_unknown_args(with_long_names(words))[1]
        assert not [word for word in read if word.startswith("--")], words


def test_a_slurm_array_measures_each_part_once(pytestconfig):
    (job,) = [words for words in commands(scripts("design/many_machines.md"), "pytest") if "--shard" in words]
    read = pytestconfig._parser.parse_known_args(with_long_names(job))
    assert Shard.parse(read.solidmark_shard) == Shard(3, 8)
    assert read.solidmark_run_dir == "runs/board-3"
    (array,) = re.findall(r"#SBATCH --array=(\d+)-(\d+)", (ROOT / "design" / "many_machines.md").read_text())
    assert (array[0], array[1]) == ("1", "8")  # parts count from 1


def test_a_matrix_has_as_many_parts_as_it_says():
    text = (ROOT / "design" / "many_machines.md").read_text()
    parts = [int(number) for number in re.search(r"shard: \[(.*)\]", text).group(1).split(",")]
    assert parts == list(range(1, int(re.search(r"matrix\.shard \}\}/(\d+)", text).group(1)) + 1))
    assert all(f"runs/run-{part} " in text for part in parts)
