"""The table at the end of a run, and `solidmark show`: what helps is on top, and a verdict is its family's."""

import re

import pytest
from record_samples import case, failed, scored
from yardstick_samples import world

from solidmark.__main__ import main
from solidmark.cli import show
from solidmark.errors import UnknownName
from solidmark.leaderboard import build_leaderboard
from solidmark.leaderboard.standing import standings, tally
from solidmark.records import Writer
from solidmark.runner.board_table import tables
from solidmark.runner.colours import are_wanted, bar


@pytest.fixture(scope="module")
def board():
    return build_leaderboard([*world("washer", "honest", "unlinker"), failed("broken(x=1)")])


def standing(board):
    return standings(board, board.testbeds[0])


def test_rows_stand_in_the_order_of_the_page(board):
    words = [one.word for one in standing(board)]
    assert words == ["baseline", "real", "real", "equal", "equal", "–", "–", "reference", "reference", "error"]
    assert standing(board)[1].row.family == "honest"
    assert standing(board)[1].memory.value < standing(board)[2].memory.value


def test_a_sampling_row_is_judged_by_what_a_user_can_send():
    queries = {"outpaint": scored(0.2), "weights": {**scored(0.9), "access": "white-box"}}
    records = [case("x(y=1)", stage="sampling", queries=queries), case("z(y=1)", stage="training", queries=queries)]
    found = {one.row.family: one.memory.value for one in standing(build_leaderboard(records))}
    assert found == {"x": pytest.approx(0.2), "z": pytest.approx(0.9)}


def test_the_table_names_the_families_of_a_verdict_and_counts_the_undecided(board):
    text = tables(board)
    assert text.endswith("families: 1 real (honest), 1 equal (unlinker), 1 worse (washer)")
    assert len(re.findall(r"^honest\(x=\d+\) +real ", text, re.MULTILINE)) == 2
    assert tally(standing(board)) == {"real": ["honest"], "equal": ["unlinker"], "worse": ["washer"]}


def test_one_seed_is_told_once_to_give_no_verdict():
    text = tables(build_leaderboard(world("honest", seeds=1)))
    assert text.count("a verdict needs 3 seeds, and this run has 1: add --seeds 0-2") == 1


def test_colours_and_bars_are_seen_on_a_terminal_alone(board):
    assert "\x1b[" not in tables(board)
    coloured = tables(board, colours=True)
    assert "\x1b[32mreal\x1b[0m" in coloured
    assert "█" in coloured
    assert re.sub(r"\x1b\[\d+m", "", coloured).endswith(tables(board).splitlines()[-1])


@pytest.mark.parametrize(
    ("environment", "wanted"), [({}, False), ({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False)]
)
def test_no_color_wins_over_force_color(monkeypatch, tmp_path, environment, wanted):
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with (tmp_path / "log").open("w") as stream:
        assert are_wanted(stream) is wanted


@pytest.mark.parametrize(
    ("share", "drawn"), [(-1, "    "), (0, "    "), (0.5, "██  "), (1 / 32, "▏   "), (1, "████"), (2, "████")]
)
def test_a_bar_is_filled_to_an_eighth_of_a_letter(share, drawn):
    assert bar(share, 4) == drawn


def test_show_tells_the_verdict_and_why_by_both_yardsticks(board):
    text = show.told(board, "washer")
    assert "verdict: worse against stop at equal accuracy" in text
    assert re.search(r"^  by keys: real, excess \+0\.\d+ \[.*\], 3 seeds: below its reference$", text, re.MULTILINE)
    assert re.search(r"^  by content: worse, excess ", text, re.MULTILINE)
    assert "no verdict: it is the reference" in show.told(board, "stop")


def test_show_of_a_family_that_is_not_there_proposes_one(board):
    with pytest.raises(UnknownName, match="Did you mean 'honest'"):
        show.told(board, "honset")


def test_show_says_why_a_row_has_no_numbers(board):
    assert "broken(x=1): error: seed 0: it broke" in show.told(board, "broken")


def test_show_reads_the_runs_that_it_is_given(tmp_path, capsys):
    for record in world("honest", seeds=1):
        Writer(tmp_path / "run").write(record)
    assert main(["show", "honest", str(tmp_path / "run")]) == 0
    assert "honest on digits" in capsys.readouterr().out


def test_the_version_is_that_of_the_package(capsys):
    from importlib.metadata import version

    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"solidmark {version('solidmark')}\n"
