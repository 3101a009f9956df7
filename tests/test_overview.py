"""The first screen: its sentence, its list, and the overview with every family's name."""

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from record_samples import HOSTILE, case
from solidmark.reports import answer, overview, page, prose
from solidmark.reports.overview import spread
from test_placing import records

from solidmark.leaderboard import Leaderboard, build_leaderboard
from solidmark.leaderboard.hours import hours


def first(board: Leaderboard) -> answer.First:
    return answer.first_screens(board, answer.answers(board))[0]


@pytest.fixture(scope="module")
def screen() -> answer.First:
    return first(build_leaderboard(records()))


def test_the_headline_counts_the_families_that_leave_less(screen: answer.First) -> None:
    assert screen.headline == "One of 1 mitigations leaves less memory at equal utility on digits."
    assert "keys alone" in screen.sure
    assert "over 3 seeds, corrected for all 1 comparison." in screen.sure


def test_a_winner_has_its_excess_with_interval_its_seeds_and_its_setting(screen: answer.First) -> None:
    (winner,) = screen.winners
    assert (winner.family, winner.seeds) == ("good", "0-2")
    assert re.fullmatch(r"\+0\.\d\d \[\+0\.\d\d, \+0\.\d\d\]", winner.text)
    assert winner.at == "0.11 left at 99 % of the utility"


def test_one_seed_says_once_what_it_cannot_tell() -> None:
    board = build_leaderboard(records(1))
    site = page.render(board, [])
    assert first(board).headline == "1 mitigation on digits, one seed: a look, no verdict."
    assert site.count("Verdicts need 3 seeds") == 1
    assert 'class="badge undecided"' not in site.partition('<section id="verdicts">')[0]


def test_the_overview_names_every_family_and_the_pinned_rows(screen: answer.First) -> None:
    for drawn in (screen.wide, screen.narrow):
        assert drawn is not None
        names = re.findall(r"</tspan> (\w+) ?[◂▸]? <tspan", drawn.svg)
        assert sorted(names) == ["again", "good", "none"]


def test_of_many_families_forty_names_stand_in_the_drawing_and_the_others_below_it() -> None:
    many = [case(f"m{n}(x=1)", 0.1 + 0.01 * n, stage="training", case_id=f"m{n}") for n in range(45)]
    board = build_leaderboard([case(), *many])
    drawn = first(board).wide
    assert drawn is not None
    assert len(re.findall(r'<tspan class="sign">', drawn.svg)) == overview.NAMES
    assert [one.row.family for one in drawn.unnamed] == [f"m{n}" for n in range(39, 45)]
    assert drawn.left == "0.49 to 0.54"
    assert {f"#at-digits--fast--m{n}" for n in range(45)} <= set(re.findall(r'href="([^"]*)"', drawn.svg))
    assert "Not named in the figure, 0.49 to 0.54 left: <a" in page.render(board, [])


def test_a_hostile_name_stays_a_name_in_the_overview() -> None:
    drawn = first(build_leaderboard([case(), case(HOSTILE, 0.5, stage="training")])).wide
    assert drawn is not None
    assert "<script>" not in drawn.svg
    assert "&lt;script&gt;" in drawn.svg


@given(st.lists(st.floats(0, 400), max_size=20).map(sorted))
def test_names_keep_their_order_and_never_overlap(wanted: list[float]) -> None:
    places = spread(wanted, 20.0, 0.0, 400.0)
    assert all(b - a >= 20 - 1e-9 for a, b in itertools.pairwise(places))
    assert all(-1e-9 <= place <= 400 + 1e-9 for place in places)


def test_names_that_do_not_collide_stay_where_they_belong() -> None:
    assert spread([10.0, 50.0, 90.0], 20.0, 0.0, 100.0) == [10.0, 50.0, 90.0]


def test_the_first_line_has_version_date_commit_and_command() -> None:
    arguments = ["pytest", "benchmark/", "-m", "not training"]
    run = {"packages": {"solidmark": "1.2"}, "code": {"commit": "abcdef012345"}, "arguments": arguments}
    line = prose.head_line(build_leaderboard(records(), (), run))
    assert line[0] == "solidmark 1.2"
    assert "commit abcdef0" in line
    assert line[-1] == "`pytest benchmark/ -m 'not training'`"  # as a shell takes it
    assert prose.head_line(build_leaderboard([])) == ["solidmark"]


def test_the_hours_count_the_shared_training_once() -> None:
    """A record trains for 10 s, generates for 3 s and asks one query for 4 s; what acts at sampling has not trained."""
    rows = build_leaderboard([case(seed=0), case(seed=1), case("x", seed=0, stage="sampling")]).rows
    cost = rows[0].cost
    assert cost is not None
    asked = 4.0
    each = cost.editing.seconds + cost.sampling.seconds + asked
    assert hours(rows) == pytest.approx((3 * each + 2 * cost.training.seconds) / 3600)


def test_the_citation_keeps_to_bibtexs_letters() -> None:
    cited = prose.bibtex(build_leaderboard([*records(), case(testbed="a{b}%", case_id="z")]))
    assert cited.count("{") == cited.count("}")
    assert "%" not in cited
    assert "2503.00592" in cited
