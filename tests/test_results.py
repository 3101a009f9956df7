"""The committed results: every record is valid, the table is what they give, and a run of anyone is ranked with them."""

import gzip
import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from record_samples import case
from solidmark.reports import as_csv

from solidmark.leaderboard.excess import CurveVerdict
from solidmark.leaderboard.render import load_leaderboard
from solidmark.records import Writer, checked, read
from solidmark.schema.record import SCHEMA

RESULTS = Path(__file__).parents[1] / "results"
FILES = sorted((RESULTS / "records").iterdir())


COUNTED = re.findall(r"^\| `([\w-]+)/` \| (\d+) records", (RESULTS / "README.md").read_text(), re.MULTILINE)
"""The folders that the document tells the records of, and how many."""


@pytest.fixture(scope="module")
def board():
    return load_leaderboard([RESULTS])


def test_it_has_thirty_families_and_ninety_rows_of_three_seeds_or_more_with_passing_controls(board):
    assert len({row.family for row in board.rows}) > 30
    assert len(board.rows) >= 90
    assert all(row.ok and row.controls.sound and {0, 1, 2} <= {*row.seeds} for row in board.rows)


def test_its_rows_are_those_that_were_asked_for(board):
    options = (RESULTS / "rows.txt").read_text().splitlines()
    assert {row.mitigation for row in board.rows} == {line.removeprefix("--mitigation=") for line in options[1:]}


def test_its_records_are_of_schema_1_and_are_read_as_valid_ones_of_schema_2():
    lines = [line for path in FILES for line in gzip.decompress(path.read_bytes()).splitlines()]
    records, notes, damaged = read(RESULTS)
    assert {json.loads(line)["schema"] for line in lines} == {"solidmark.record/1"}
    assert {checked(record, "results")["schema"] for record in records} == {SCHEMA} == {"solidmark.record/2"}
    assert (len(records), notes, damaged) == (len(lines), [], [])


def test_upgrading_changes_no_number():
    lines = [line for path in FILES for line in gzip.decompress(path.read_bytes()).splitlines()]
    for line, record in zip(lines, read(RESULTS)[0], strict=True):
        assert leaves(json.loads(line)) == leaves(record)


def leaves(value):
    """All numbers in a record, in order."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    if parts is not None:
        return [number for part in parts for number in leaves(part)]
    return [value] if isinstance(value, int | float) else []


def test_its_table_is_what_its_records_give(board, tmp_path):
    (tmp_path / "leaderboard.csv").write_text(as_csv.render(board, [RESULTS]), encoding="utf-8")
    rendered, table = (pd.read_csv(folder / "leaderboard.csv", keep_default_na=False) for folder in (tmp_path, RESULTS))
    pd.testing.assert_frame_equal(rendered, table, rtol=1e-9)  # the last bits are those of SciPy's version


def test_every_folder_of_records_is_told():
    assert {name for name, _ in COUNTED} == {path.parent.name for path in RESULTS.glob("*/records")}


@pytest.mark.parametrize(("name", "count"), COUNTED)
def test_a_folder_has_the_records_that_are_told_and_all_controls_pass_but_the_one_that_is_named(name, count):
    records, notes, damaged = read(RESULTS / name)
    assert (len(records), notes, damaged) == (int(count), [], [])
    assert {record["status"] for record in records} <= {"ok", "unsupported", "failed_check"}
    failed = [(record["mitigation"], record["seed"]) for record in records if record["status"] == "failed_check"]
    assert failed == ([("wanda(share=1.0)", 2)] if name == "claims" else [])


def test_the_first_verdicts_by_keys_and_content_are_those_that_are_told():
    (comparison,) = load_leaderboard([RESULTS / "verdicts"]).matched
    verdicts = {verdict.keys.family: verdict for verdict in comparison.verdicts_on("accuracy")}
    by_keys = [family for family, verdict in verdicts.items() if verdict.keys.verdict is CurveVerdict.REAL]
    assert (len(verdicts), len(by_keys)) == (8, 6)
    assert [family for family, verdict in verdicts.items() if verdict.verdict is CurveVerdict.REAL] == ["concept-ablation"]
    found = verdicts["concept-ablation"].content.estimate  # the worse of both
    assert f"by {found.value:.2f} [{found.low:.2f}, {found.high:.2f}]" in (RESULTS / "README.md").read_text()


@pytest.mark.parametrize("document", sorted(RESULTS.rglob("*.md")), ids=lambda path: path.parent.name)
def test_links_of_its_documents_lead_somewhere(document):
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text())
    assert links
    assert not [link for link in links if not (document.parent / link).exists()]


def test_no_page_is_committed():
    kinds = {".md", ".txt", ".json", ".csv", ".gz", ".parquet"}
    assert {path.suffix for path in RESULTS.rglob("*") if path.is_file()} == kinds


def test_the_same_records_compress_to_the_same_bytes():
    """Neither the time nor the name of a file is in it."""
    for path in FILES:
        assert path.name.endswith(".jsonl.gz")
        assert path.read_bytes()[3:8] == bytes(5)


def test_compressed_records_are_read_as_plain_ones(tmp_path):
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "plain.jsonl").write_bytes(gzip.decompress(FILES[0].read_bytes()))
    plain = read(tmp_path)
    (tmp_path / "records" / "plain.jsonl").unlink()
    shutil.copy(FILES[0], tmp_path / "records")
    assert read(tmp_path) == plain


@pytest.mark.parametrize("length", [0, 5, 1000])
def test_a_damaged_compressed_file_is_named(tmp_path, length):
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "torn.jsonl.gz").write_bytes(FILES[0].read_bytes()[:length] or b"no gzip")
    [told] = read(tmp_path).damaged
    assert "records/torn.jsonl.gz" in told


def test_what_a_newcomer_measures_is_ranked_among_them(board, tmp_path):
    ours, theirs = Writer(tmp_path / "ours"), Writer(tmp_path / "theirs")
    for record in read(RESULTS)[0]:
        if record.get("family") in ("none", "guidance-scale", "rna"):  # all of them take four seconds
            ours.write(record)
    for seed in (0, 1, 2):
        theirs.write(case("mine(factor=1)", 0.4, seed, "sampling", solver=dict(board.rows[0].solver)))
    (comparison,) = load_leaderboard([tmp_path / "ours", tmp_path / "theirs"]).matched
    ranking = comparison.ranking_on("accuracy", "lead")
    assert {"mine", "rna"} <= {family.family for family in ranking.families}
