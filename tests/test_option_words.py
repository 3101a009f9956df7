"""Every command with its options changes on purpose alone: names, kinds, defaults, choices, whether they must be given.

`python tests/test_option_words.py` writes `options.txt` anew; read what changed in it before you commit it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from golden import Golden

from solidmark.__main__ import parser

KEPT = Golden.beside(__file__, "options.txt")
FIELDS = ("dest", "nargs", "const", "default", "type", "choices", "required", "metavar")


def described(action: argparse.Action) -> str:
    """An option in a line: what it is called, and each field that is set."""
    values = {name: getattr(action, name) for name in FIELDS}
    kind = getattr(values["type"], "__name__", None)
    told = {**values, "type": kind, "default": str(values["default"]) if values["default"] is not None else None}
    told["required"] = action.required and bool(action.option_strings)  # of others `nargs` says it
    fields = ", ".join(f"{name} {value}" for name, value in told.items() if value not in (None, False, 0))
    words = "has help" if action.help else "has none"
    return f"{' '.join(action.option_strings) or '-'}: {type(action).__name__.strip('_')}, {fields}, {words}"


def commands(of: argparse.ArgumentParser, name: str) -> Iterator[tuple[str, str]]:
    """A command with its options and its function, then those below it."""
    plain = [action for action in of._actions if not isinstance(action, argparse._SubParsersAction | argparse._HelpAction)]
    function = of.get_default("command")
    module = f"{function.__module__}.{function.__name__}" if function is not None else "-"
    yield name, "\n".join([f"calls {module}", *map(described, plain)])
    for action in of._actions:
        if isinstance(action, argparse._SubParsersAction):
            assert action.required
            for below, sub in action.choices.items():
                yield from commands(sub, f"{name} {below}")


def found() -> dict[str, str]:
    """The text of each command by its name."""
    return dict(commands(parser(), "solidmark"))


def test_commands_have_the_options_that_they_had() -> None:
    today = found()
    KEPT.check_names(today)
    for name, words in today.items():
        KEPT.check(name, words)


if __name__ == "__main__":
    KEPT.write(found())
