"""How many small faults do the tests catch? Draw faults at random, put each into a copy of the checkout, run its tests.

    python design/mutation_map.py map.jsonl -j 16                # which tests run which lines
    python design/mutation.py draw --seed 20261127 --count 160 > drawn.jsonl
    python design/mutation.py run drawn.jsonl map.jsonl results.jsonl -j 16 --seconds 400     # goes on where it was stopped
    python design/mutation.py table results.jsonl

`run` works in copies of the checkout that it is started in, one for each worker. A fault is caught where a test fails, where
the tests cannot be collected, or where a run of them needs more than four times the budget and a minute of processor time. A
drawn fault with a key `equivalent`, which has the reason, is left out. The order of a draw is random, so any beginning of it
is a sample as well.

A fault in a function meets the tests that run its statement, those of the test files that name its module most first. One in
a constant or a default meets the tests that run anything of its module.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from pathlib import Path

from mutation_map import ROOTS, Map
from mutation_operators import RULES, faults, is_change
from mutation_run import run


def sources() -> list[Path]:
    """The files that faults are put into."""
    return sorted(path for root in ROOTS for path in Path(root).rglob("*.py"))


def draw(seed: int, count: int, only: str = "") -> list[dict]:
    """Faults at random: kinds weigh alike, then all places of a kind; no two on a line. `only` is searched in the paths."""
    rng, by_kind = random.Random(seed), {kind: [] for kind in RULES}
    for path in sources():
        for fault in faults(path.read_text()) if re.search(only, str(path)) else ():
            by_kind[fault.kind].append((path, fault))
    drawn, lines, kinds = [], set(), [kind for kind in RULES if by_kind[kind]]
    while len(drawn) < count:
        path, fault = rng.choice(by_kind[rng.choice(kinds)])
        if (path, fault.line) not in lines and is_change(path.read_text(), fault):
            lines.add((path, fault.line))
            drawn.append({"id": len(drawn), "file": str(path), **vars(fault)})
    return drawn


def table(results: list[dict]) -> str:
    """Shares caught, by kind and by room, the survivors, and what came to no end."""
    from scipy.stats import binomtest

    results = sorted(results, key=lambda each: each["id"])
    caught = sum(each["outcome"] != "survived" for each in results)
    limits = binomtest(caught, len(results)).proportion_ci(method="exact")
    head = f"{caught} of {len(results)} caught: {caught / len(results):.1%} [{limits.low:.1%}, {limits.high:.1%}]"
    lines = [head]
    for title, key in (("kind", "kind"), ("room", "file")):
        rooms = [each[key] if key == "kind" else str(Path(each[key]).parent) for each in results]
        for name in sorted(set(rooms)):
            mine = [each["outcome"] != "survived" for each, room in zip(results, rooms) if room == name]
            lines.append(f"{title} {name}: {sum(mine)} of {len(mine)}")
    for each in results:
        if each["outcome"] != "caught":
            place = f"{each['outcome']} {each['id']} {each['file']}:{each['line']} {each['kind']}"
            lines.append(f"{place}: {each['old']} -> {each['new']}")
    return "\n".join(lines)


def read(path: Path) -> list[dict]:
    """The lines of a file, one object each."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    one = verbs.add_parser("draw")
    one.add_argument("--seed", type=int, required=True)
    one.add_argument("--count", type=int, default=150)
    one.add_argument("--only", default="", help="a pattern: of the files whose path it is found in")
    one = verbs.add_parser("run")
    one.add_argument("drawn", type=Path)
    one.add_argument("map", type=Path)
    one.add_argument("results", type=Path)
    one.add_argument("--budget", type=float, default=40.0, help="seconds of tests that are run for a fault at most")
    one.add_argument("-j", "--workers", type=int, default=1, help="how many faults at a time")
    one.add_argument("--seconds", type=float, default=float("inf"), help="begin no fault after so many seconds")
    verbs.add_parser("table").add_argument("results", type=Path)
    options = parser.parse_args()
    if options.verb == "draw":
        print("\n".join(json.dumps(each) for each in draw(options.seed, options.count, options.only)))
    elif options.verb == "run":
        known = Map(options.map)
        run(read(options.drawn), known, options.results, options.budget, options.workers, options.seconds)
    else:
        print(table(read(options.results)))


if __name__ == "__main__":
    main()
