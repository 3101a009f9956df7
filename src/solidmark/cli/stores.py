"""The commands of the store: list, check, tidy, and hand models out and in."""

from __future__ import annotations

import argparse
import time
from typing import Any

from tabulate import tabulate

from ..errors import InvalidValue, cleaned
from ..store import Entry, Store, default_root
from . import terminal
from .paths import given_path


def add(parser: argparse.ArgumentParser) -> None:
    """Add the actions to the command `store`."""
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    actions.add_parser("ls", help="list the entries").set_defaults(command=_list)
    actions.add_parser("verify", help="check every file; set damaged entries aside").set_defaults(command=_verify)
    collect = actions.add_parser("gc", help="remove old entries")
    collect.add_argument("--older", type=float, default=30.0, metavar="DAYS", help="not used for so long (default 30)")
    collect.add_argument(
        "--max-size", type=float, default=0.0, metavar="MB", help="only while the store is larger than this"
    )
    collect.set_defaults(command=_collect)
    export = actions.add_parser("export", help="write a trained marked model as a diffusers folder, with keys and card")
    export.add_argument("testbeds", nargs="+", metavar="TESTBED", help="a latent one, such as latent-digits")
    export.add_argument(
        "into", type=given_path, metavar="FOLDER", help="a new folder; of several models one below it for each"
    )
    export.add_argument("--mitigation", default="none", metavar="ROW", help="of training or weights (default: none)")
    export.add_argument("--seed", type=int, default=0, metavar="N")
    export.add_argument("--seeds", metavar="LIST", help="several models, as 0,1,2 or 0-2, in FOLDER/TESTBED-seed-N")
    export.add_argument("--device", default="cpu", help="such as cuda (default cpu)")
    export.set_defaults(command=_export)
    adopt = actions.add_parser("import", help="take over the models of exported folders, so that none is trained anew")
    adopt.add_argument("folders", type=given_path, nargs="+", metavar="FOLDER")
    adopt.set_defaults(command=_import)


def _list(options: argparse.Namespace) -> int:
    entries = list(Store(default_root()).entries())
    print(
        tabulate([_row(entry) for entry in entries], headers=["entry", "kind", "of", "size", "built"], disable_numparse=True)
    )
    print(f"{len(entries)} entries, {sum(entry.size for entry in entries) / 1e6:.1f} MB in {default_root()}")
    return 0


def _row(entry: Entry) -> list[str]:
    built = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.built))
    return [entry.name[:12], entry.kind, cleaned(entry.label) or _described(entry.key), f"{entry.size / 1e6:.1f} MB", built]


def _described(key: dict[str, Any]) -> str:
    """What an entry without a label is of, as far as its key says it: a query, the parts of a mitigation, and the seed."""
    query = key.get("query")
    asked = [str(query[0])] if isinstance(query, list) and query and isinstance(query[0], str) else []
    parts = [_part(part) for part in key.get("parts") or () if isinstance(part, list)]
    seed = [f"seed {key['seed']}"] if "seed" in key else []
    return ", ".join([*asked, *filter(None, parts), *seed])


def _part(described: list[Any]) -> str:
    """`rna(share=0.5, probability=1.0)` of family, class with parameters, and source."""
    family, fields = (*described, "", {})[:2]
    values = fields.items() if isinstance(fields, dict) else ()
    stated = ", ".join(f"{name}={value!r}" for name, value in values if name != "class")
    return f"{family}({stated})" if stated else str(family)


def _verify(options: argparse.Namespace) -> int:
    sound, faults = Store(default_root()).verify()
    print("\n".join([f"{sound} entries are sound", *(f"set aside: {fault}" for fault in faults)]))
    return 1 if faults else 0


def _collect(options: argparse.Namespace) -> int:
    for name, number in (("--older", options.older), ("--max-size", options.max_size)):
        if not 0 <= number < float("inf"):
            raise InvalidValue(name, number, "days or megabytes of at least 0", "Correct it.")
    removed = Store(default_root()).collect(options.older, int(options.max_size * 1e6))
    print(f"{len(removed)} entries removed, {sum(entry.size for entry in removed) / 1e6:.1f} MB")
    return 0


def _export(options: argparse.Namespace) -> int:
    import torch

    from ..measurement.case import Workspace
    from ..pipelines import checked_device
    from ..runner.options import parse_seeds
    from .exports import case_of, check, export

    checked_device(options.device)
    if options.seed < 0:
        raise InvalidValue("--seed", options.seed, "a whole number of at least 0", "Give such a seed.")
    torch.set_num_threads(1)  # small models gain nothing from more
    seeds = (options.seed,) if options.seeds is None else parse_seeds(options.seeds)
    cases = [case_of(testbed, options.mitigation, seed) for testbed in options.testbeds for seed in seeds]
    several = len(options.testbeds) > 1 or options.seeds is not None
    names = {f"{case.testbed_name}-seed-{case.seed}": case for case in cases} if several else {"": cases[0]}
    for name, case in names.items():  # before the first training
        check(case, options.into / name)
    for name, case in names.items():
        made = export(case, options.into / name, Workspace(Store(default_root()), options.device, terminal.progress()))
        found, certified = made.about, made.about["certified"]
        print(f"{found['testbed']}, {found['mitigation']}, seed {found['seed']}")
        print(f"M {found['memorization']['value']:.3f}, {certified['count']} of {certified['of']} images certified")
        print(f"written to {made.folder}; read its README.md before you publish it")
    return 0


def _import(options: argparse.Namespace) -> int:
    from .imports import adopt

    store = Store(default_root())
    for folder in options.folders:
        for adopted in adopt(folder, store):
            print(f"{adopted.entry.name[:12]}  {adopted.entry.kind}, {adopted.entry.size / 1e6:.1f} MB: {adopted.use}")
    return 0
