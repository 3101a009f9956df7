"""The console script `solidmark` and its commands. Torch is imported where needed."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import NoReturn

from .cli import collection, compare, plugin, show, stores, training, watch
from .cli.paths import given_path
from .errors import SolidmarkError, nearest


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 0 when all is well, 1 when something is broken, 2 for a mistake, 130 where it was interrupted."""
    options = parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except SolidmarkError as error:
        print(f"solidmark: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("solidmark: interrupted; `mark`, `measure` and `train` go on when they are run again", file=sys.stderr)
        return 130


class Parser(argparse.ArgumentParser):
    """A parser that suggests the nearest of its choices, such as a command."""

    def error(self, message: str) -> NoReturn:
        """Say what was wrong, and end with 2."""
        wrong = re.search(r"invalid choice: '(.+)' \(choose from (.+)\)$", message)
        near = nearest(wrong[1], re.findall(r"[\w-]+", wrong[2])) if wrong else ""
        super().error(f"{message}. Did you mean {near!r}?" if near else message)


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    parser = Parser(prog="solidmark", description="Measure which mitigations stop memorization.")
    parser.add_argument("--version", action="version", version=f"solidmark {metadata.version('solidmark')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    report = commands.add_parser("report", help="rebuild the leaderboard from the records of one or more runs")
    report.add_argument("runs", nargs="+", type=given_path, metavar="RUN", help="folder of a run, such as runs/latest")
    report.add_argument("--into", type=given_path, metavar="DIR", help="where to write (default: the first run's folder)")
    report.set_defaults(command=_report)
    show.add(commands.add_parser("show", help="one family of a run: its verdict and why, its settings, each query"))
    compare.add(commands.add_parser("compare", help="two runs, or two rows of one; ends with 1 where B is worse"))
    new = commands.add_parser("new", help="write a plugin package that works as it is, and of which you edit one file")
    new.add_argument("name", metavar="NAME", help="of the mitigation and its package, such as quiet-words")
    new.set_defaults(command=_new)
    plugin.add(commands.add_parser("plugins", help="list the plugins that work and those that do not, or tell one whole"))
    watch.add(commands.add_parser("watch", help="how far a run is, until it ends"))
    commands.add_parser("doctor", help="check versions, devices, store and plugins").set_defaults(command=_doctor)
    training.add(commands.add_parser("train", help="train a testbed's unmitigated model into the store, on several GPUs"))
    collection.add(commands)
    stores.add(commands.add_parser("store", help="the store of trained models"))
    return parser


def _report(options: argparse.Namespace) -> int:
    from .leaderboard.render import render
    from .runner import step_summary

    rendered = render(options.runs, options.into)
    step_summary.append(rendered.board)
    for path in rendered.written:
        print(path)
    faults = [*rendered.damaged, *rendered.faults]
    for fault in [*faults, *rendered.apart]:
        print(f"solidmark: {fault}", file=sys.stderr)
    return 1 if faults else 0


def _new(options: argparse.Namespace) -> int:
    from .cli.new import write

    paths = write(options.name, Path())
    print("\n".join(f"{path}{'  (the one to edit)' if index == 1 else ''}" for index, path in enumerate(paths)))
    print(
        f"\nThen:\n  cd {options.name}\n  pip install -e .\n  pytest\n"
        f"  pytest --pyargs solidmark.benchmark --mitigation {options.name} --seeds 0-2"
    )
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from .cli.doctor import examine

    diagnoses = examine()
    for diagnosis in diagnoses:
        print(f"{'ok ' if diagnosis.sound else 'BAD'}  {diagnosis.subject}: {diagnosis.text}")
    return 0 if all(diagnosis.sound for diagnosis in diagnoses) else 1


if __name__ == "__main__":
    sys.exit(main())
