"""The commands of a data owner: `solidmark mark`, and what asks a model for the marked images later."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InvalidValue
from . import terminal
from .paths import given_path

if TYPE_CHECKING:
    from ..collection.ledger import Ledger
    from ..collection.questions import Collection, Query

PASSPHRASE = "SOLIDMARK_PASSPHRASE"
SHOWN = 10
"""Files that were left out and are named on the console; the manifest has all."""


def add(commands: Any) -> None:
    """Add the commands to those of the console script."""
    for command in (_add_mark, _add_measure, _add_certify, _add_verify):
        command(commands)


def _add_mark(commands: Any) -> None:
    mark = commands.add_parser("mark", help="mark a folder of images, so that their memorization can be proven later")
    mark.add_argument(
        "images",
        type=given_path,
        metavar="IMAGES",
        help="folder, with metadata.csv, metadata.jsonl or .txt captions; or a .tar, a .parquet, a name of `datasets`",
    )
    mark.add_argument("out", type=given_path, metavar="OUT", help="new folder for the marked images: hand this out")
    mark.add_argument(
        "--ledger", type=given_path, metavar="DIR", help="new folder for the secret ledger (default: OUT.ledger)"
    )
    mark.add_argument("--hold-out", type=float, default=0.5, metavar="SHARE", help="kept back as controls (default 0.5)")
    mark.add_argument("--size", type=int, metavar="PIXELS", help="scale and crop to a square first, as the training will")
    mark.add_argument("--keys", type=int, default=8, metavar="N", help="gray segments of a border (default 8)")
    mark.add_argument("--thickness", type=int, metavar="PIXELS", help="of the border (default: a sixteenth of the image)")
    mark.add_argument("--inside", action="store_true", help="replace the image's own border instead of enlarging it")
    mark.add_argument("--caption-column", metavar="NAME", help="of the table (default: text, caption or prompt)")
    mark.add_argument("--image-column", default="image", metavar="NAME", help="of a data set (default image)")
    mark.add_argument("--split", default="train", metavar="NAME", help="of a data set with a name (default train)")
    mark.add_argument("--workers", type=int, metavar="N", help="processes (default: one a core)")
    mark.add_argument("--encrypt", action="store_true", help=f"seal the ledger with a passphrase ({PASSPHRASE})")
    _passphrase_file(mark)
    mark.set_defaults(command=_mark)


def _add_measure(commands: Any) -> None:
    measure = commands.add_parser("measure", help="ask a model for a marked collection, and count what it has memorized")
    measure.add_argument(
        "--model", metavar="MODEL", help="folder of a diffusers pipeline, its name in the Hub's cache, or FILE.py:FUNCTION"
    )
    measure.add_argument("--ledger", type=given_path, required=True, metavar="DIR", help="that `solidmark mark` has written")
    measure.add_argument("--marked", type=given_path, metavar="OUT", help="the marked images (default: DIR without .ledger)")
    into = "where records go; run again, it goes on (default: OUT.measured beside the ledger)"
    measure.add_argument("--into", type=given_path, metavar="DIR", help=into)
    measure.add_argument("--lora", type=given_path, metavar="FILE", help="LoRA weights on top of the pipeline")
    measure.add_argument("--pipeline-class", metavar="FILE.py:CLASS", help="load the pipeline as this class of a file")
    measure.add_argument("--pipeline-call", metavar="FILE.py:FUNCTION", help="ask by function(pipe, captions, **options)")
    measure.add_argument(
        "--checkpoints", type=given_path, metavar="DIR", help="of a training: each is measured, a curve is written"
    )
    measure.add_argument("--steps", type=int, metavar="N", help="of the sampler (default: the pipeline's own)")
    measure.add_argument("--guidance", type=float, metavar="SCALE", help="default: the pipeline's own")
    measure.add_argument("--batch", type=int, default=1, metavar="N", help="images asked at once (default 1)")
    measure.add_argument("--seed", type=int, default=0, metavar="N", help="of all noise (default 0)")
    measure.add_argument("--limit", type=int, metavar="N", help="ask at most so many of each split, chosen at random")
    measure.add_argument("--resolution", type=int, metavar="PIXELS", help="side of the images that the model makes")
    measure.add_argument("--content", action="store_true", help="also generate every image from its caption alone")
    measure.add_argument("--without-captions", action="store_true", help="of a pipeline that takes none")
    measure.add_argument("--device", default="cpu", help="such as cuda (default cpu)")
    measure.add_argument("--dtype", default="float32", choices=("float32", "float16", "bfloat16"))
    _passphrase_file(measure)
    measure.set_defaults(command=_measure)


def _add_certify(commands: Any) -> None:
    certify = commands.add_parser("certify", help="write a certificate of a measurement, which others can check")
    certify.add_argument("measured", type=given_path, metavar="RECORD", help="folder that `solidmark measure` has written")
    certify.add_argument("--ledger", type=given_path, required=True, metavar="DIR")
    certify.add_argument("--into", type=given_path, metavar="DIR", help="new folder (default: RECORD/certificate)")
    _passphrase_file(certify)
    certify.set_defaults(command=_certify)


def _add_verify(commands: Any) -> None:
    verify = commands.add_parser("verify", help="check a certificate with the ledger")
    verify.add_argument("certificate", type=given_path, metavar="CERTIFICATE", help="folder of a certificate")
    verify.add_argument("--ledger", type=given_path, required=True, metavar="DIR")
    verify.add_argument("--marked", type=given_path, metavar="OUT", help="compare pictures with the marked images, too")
    verify.add_argument("--commitment", type=given_path, metavar="FILE", help="the commitment.json that was published")
    _passphrase_file(verify)
    verify.set_defaults(command=_verify)


def _passphrase_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--passphrase-file", type=given_path, metavar="FILE", help=f"else {PASSPHRASE}, else you are asked")


def _mark(options: argparse.Namespace) -> int:
    from ..collection.ledger import HELD_OUT
    from ..collection.marking import mark
    from ..collection.painting import Style
    from ..collection.questions import default_ledger
    from ..collection.verdict import LEAST

    folder = options.ledger or default_ledger(options.out)
    with _images(options, folder) as images:
        made = mark(
            images,
            options.out,
            folder,
            Style(options.keys, options.thickness, options.inside, options.size),
            hold_out=options.hold_out,
            caption_column=options.caption_column,
            passphrase=passphrase(options) if options.encrypt else None,
            workers=options.workers,
            progress=terminal.progress(),
        )
    trained, held = (sum(row.split == part for row in made.ledger.rows) for part in ("trained", "held-out"))
    copies = sum(row.copy_of is not None for row in made.ledger.rows)
    print(f"{trained} images are marked in {options.out}: hand this folder out")
    print(f"{held} are held out in {folder / HELD_OUT}: nobody may train on them")
    if copies:
        print(f"{copies} are copies of others: they share their keys, and are asked and counted once")
    if made.uncaptioned:
        print(f"{made.uncaptioned} have no caption: a model is asked for them without one")
    if made.same_caption:
        told = "have the caption of another image: a model cannot tell them apart by it, so less memory is found"
        print(f"solidmark mark: warning: {made.same_caption} {told}", file=sys.stderr)
    for part, lack in (
        ("trained", "marked: no model can be measured by them"),
        ("held-out", "held out: there is no control"),
    ):
        if sum(row.split == part and row.copy_of is None for row in made.ledger.rows) < LEAST:
            print(f"solidmark mark: warning: fewer than {LEAST} distinct images are {lack}", file=sys.stderr)
    print(f"commitment {made.ledger.commitment}\n  publish {folder / 'commitment.json'} before anybody trains")
    print(f"keep {folder} secret: whoever has it can forge answers")
    return _left_out(made.left_out)


def _images(options: argparse.Namespace, folder: Path) -> AbstractContextManager[Path]:
    """The folder of images that is given, or that a data set is unpacked into, beside the ledger, while it is marked."""
    from ..collection.unpacking import unpacked

    if options.images.is_dir():
        return nullcontext(options.images)
    beside = folder.with_name(f"{folder.name}.unpacked")
    return unpacked(str(options.images), beside, options.caption_column, options.image_column, options.split)


def _left_out(left_out: Mapping[str, str]) -> int:
    """Name what was left out; 1 if anything was."""
    for file, reason in list(left_out.items())[:SHOWN]:
        print(f"solidmark mark: {file} was left out: {reason}", file=sys.stderr)
    if len(left_out) > SHOWN:
        print(f"solidmark mark: {len(left_out) - SHOWN} more were left out: see manifest.json", file=sys.stderr)
    return 1 if left_out else 0


def _measure(options: argparse.Namespace) -> int:
    from ..collection import loading, measuring, showing
    from ..collection.questions import Query, check_outside, default_into, handed_out
    from ..pipelines import checked_device

    if options.model == "" or (options.model is None and options.checkpoints is None):
        raise InvalidValue("solidmark measure", "no model", "--model or --checkpoints", "Say what is to be asked.")
    query = Query(
        steps=options.steps,
        guidance=options.guidance,
        batch=options.batch,
        seed=options.seed,
        limit=options.limit,
        resolution=options.resolution,
        content=options.content,
        captions=not options.without_captions,
    )
    checked_device(options.device)
    into = options.into or default_into(options.ledger)
    check_outside(into, handed_out(options.ledger, options.marked, "--marked"), options.ledger)
    collection = opened(options)
    if options.checkpoints is None:
        strangers = (options.pipeline_class, options.pipeline_call)
        pipe, model = loading.load(options.model, options.lora, options.device, options.dtype, *strangers)
        record = measuring.measure(pipe, model, collection, query, into, terminal.progress())
        print(showing.lines(record))
        print(f"written to {into}")
        return 0 if record["sound"] else 1
    return _curve(options, collection, query, into)


def _curve(options: argparse.Namespace, collection: Collection, query: Query, into: Path) -> int:
    from .. import records
    from ..collection import loading, measuring, showing

    found = []
    how = (options.device, options.dtype, options.pipeline_class, options.pipeline_call)
    for path, pipe, model in loading.each(options.model, options.checkpoints, *how, lora=options.lora):
        record = measuring.measure(pipe, model, collection, query, into / path.name, terminal.progress())
        found.append((path.name, loading.step_of(path), record))
        records.write_text(into / "curve.csv", showing.as_csv(showing.curve_rows(found)))
    print(showing.as_table(showing.curve_rows(found)))
    print(f"written to {into}")
    return 0 if all(record["sound"] for _, _, record in found) else 1


def _certify(options: argparse.Namespace) -> int:
    from ..collection import certificate
    from ..collection.questions import check_outside

    measured = _folder(options.measured)
    out = options.into or measured / "certificate"
    check_outside(out, options.ledger)
    made = certificate.certify(measured, _ledger(options), out)
    print(f"{made['statement']}\nwritten to {out}\ndigest {made['digest']}")
    return 0


def _verify(options: argparse.Namespace) -> int:
    from ..collection import verifying

    found = verifying.verify(_folder(options.certificate), _ledger(options), options.marked, options.commitment)
    print(verifying.told(found))
    return 0 if all(check.sound for check in found) else 1


def _folder(path: Path) -> Path:
    """The folder of a file that was named instead of it."""
    return path.parent if path.is_file() else path


def opened(options: argparse.Namespace) -> Collection:
    """The collection of --ledger and --marked; the passphrase is asked for where the ledger is sealed."""
    from ..collection.questions import Collection, handed_out

    marked = handed_out(options.ledger, options.marked, "--marked")
    return Collection(_ledger(options), marked, options.ledger)


def _ledger(options: argparse.Namespace) -> Ledger:
    from ..collection import ledger

    sealed = ledger.manifest(options.ledger)["file"] == ledger.SEALED
    return ledger.load(options.ledger, passphrase(options) if sealed else None)


def passphrase(options: argparse.Namespace) -> str:
    """From the file, the environment, or the console. Raises InvalidValue where there is none."""
    if options.passphrase_file is not None:
        try:
            return str(options.passphrase_file.read_text(encoding="utf-8")).rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as cause:
            raise InvalidValue("--passphrase-file", f"{cause}", "a file with a passphrase", "Give another.") from cause
    if stated := os.environ.get(PASSPHRASE):
        return stated
    if not sys.stdin.isatty():
        raise InvalidValue("passphrase", "none", f"one in {PASSPHRASE} or in --passphrase-file", "Give it.")
    return getpass.getpass("passphrase of the ledger: ")
