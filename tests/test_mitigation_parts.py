"""Parts of the room of mitigations in one process: a crew whose others are told, strangers' pipelines, the guard."""

import dataclasses
from types import SimpleNamespace

import pytest
import torch

from solidmark.errors import InvalidValue, NotApplicable, PluginFault
from solidmark.mitigation import crew as crew_room
from solidmark.mitigation import foreign
from solidmark.mitigation.composition import Composition, Part
from solidmark.mitigation.crew import Crew
from solidmark.mitigation.foreign import ForeignPipeline, StockPipeline
from solidmark.mitigation.guard import alone, each, plugin_code
from solidmark.models import Evaluations
from solidmark.provenance import code_digest
from solidmark.timeouts import TimeUp


def member(rank, size=3, others=0.0):
    """A process of a crew, what it gives to the sums, and the sums, to which the others add a number or a tensor."""
    made, given = Crew.__new__(Crew), []
    reduce = lambda tensor, how: given.append((tensor.tolist(), how)) or tensor + others  # noqa: E731
    made._accelerate, made._began = SimpleNamespace(utils=SimpleNamespace(reduce=reduce)), False
    made.rank, made.size, made.device = rank, size, torch.device("cpu")
    return made, given


def test_a_crew_is_what_accelerate_says_of_this_process(monkeypatch):
    asked, state = [], SimpleNamespace(process_index="2", num_processes="5", device="cpu")
    package = SimpleNamespace(PartialState=lambda cpu: asked.append(cpu) or state)
    monkeypatch.setattr(crew_room, "import_module", lambda name: package if name == "accelerate" else None)
    made = Crew()
    assert (made.rank, made.size, made.device, made.leads) == (2, 5, torch.device("cpu"), False)
    Crew(cpu=True)
    assert asked == [False, True]
    monkeypatch.setattr(crew_room, "import_module", lambda name: __import__("no_such_module"))
    with pytest.raises(NotApplicable, match=r"no package accelerate.*solidmark\[pipelines\]"):
        Crew()


@pytest.mark.parametrize(("rank", "answer", "others", "gives", "agreed"), [
    (0, True, 0.0, 1.0, True),
    (0, False, 0.0, 0.0, False),
    (1, True, 0.0, 0.0, False),
    (1, False, 1.0, 0.0, True),
])  # fmt: skip
def test_the_answer_is_that_of_the_process_that_leads(rank, answer, others, gives, agreed):
    made, given = member(rank, others=others)
    assert (made.agree(answer), given) == (agreed, [(gives, "sum")])


def test_the_parts_of_three_processes_are_all_parts_each_once():
    dealt = [member(rank)[0].mine("abcdefg") for rank in range(3)]
    assert dealt == [list("adg"), list("be"), list("cf")]


def test_the_others_are_told_once_whether_the_leader_trains():
    leader, given = member(0)
    leader.lead(lambda: None)
    assert [told for told, _ in given] == [0.0]
    leader.lead(leader.begin)
    assert [told for told, _ in given] == [0.0, 1.0]
    leader.lead(lambda: None)
    assert [told for told, _ in given] == [0.0, 1.0, 0.0]


@pytest.mark.parametrize(("others", "helps"), [(0.0, 0), (1.0, 1)])
def test_who_follows_helps_where_the_leader_trains(others, helps):
    made, helped = member(1, others=others)[0], []
    made.follow(lambda: helped.append(1))
    assert len(helped) == helps


@pytest.mark.parametrize(("others", "fits"), [([7.0, 0.0, 7.0], True), ([7.0, 0.0, 8.0], False), ([0.0, 0.0, 7.0], False)])
def test_all_processes_begin_at_one_step(others, fits):
    made, given = member(1, others=torch.tensor(others))
    if fits:
        made.check_step(7)
    else:
        with pytest.raises(InvalidValue, match="processes at the steps"):
            made.check_step(7)
    assert given == [([0.0, 7.0, 0.0], "sum")]


def test_work_of_all_processes_is_put_in_the_place_of_the_own():
    names = [one.name for one in dataclasses.fields(Evaluations)]
    own = Evaluations(**{name: number for number, name in enumerate(names)})
    made, _ = member(1, others=torch.arange(len(names)) * 10.0)
    made.add_up(own)
    assert [getattr(own, name) for name in names] == [11 * number for number in range(len(names))]


def test_a_strangers_pipeline_is_called_by_its_call_else_its_class_and_known_by_both_files(tmp_path):
    for name, text in (("calls.py", "x = 1"), ("kinds.py", "x = 2")):
        (tmp_path / name).write_text(text)
    call, kind = f"{tmp_path}/calls.py:wen", f"{tmp_path}/kinds.py:Mine"
    both, one = ForeignPipeline(kind, call), ForeignPipeline(kind)
    assert (both.family, one.family) == ("calls.wen", "kinds.Mine")
    told = [f"file {name} {code_digest(text)}" for name, text in (("kinds.py", b"x = 2"), ("calls.py", b"x = 1"))]
    assert (both.source, one.source) == ("; ".join(told), told[0])
    part = foreign.pipeline_part(both)
    assert (part.family, part.source, part.own) == ("calls.wen", both.source, False)
    with pytest.raises(InvalidValue, match=r"pipeline wen: found '.*none\.py:wen'"):
        assert ForeignPipeline(call=f"{tmp_path}/none.py:wen").source


def test_a_pipeline_is_adopted_with_what_was_stated_of_it(monkeypatch):
    told = []
    monkeypatch.setattr("solidmark.pipelines.adopt", lambda stock, **how: told.append((stock, how)))
    for made in (
        StockPipeline(),
        StockPipeline("DDPM", 3),
        ForeignPipeline("a.py:B"),
        ForeignPipeline("", "c.py:d", "DDPM", 2),
    ):
        made.pipeline("stock")
    assert [how for _, how in told] == [
        {"scheduler": None, "batch": foreign.STOCK_BATCH},
        {"scheduler": "DDPM", "batch": 3},
        {"pipeline_class": "a.py:B", "call": None, "scheduler": None, "batch": 1},
        {"pipeline_class": None, "call": "c.py:d", "scheduler": "DDPM", "batch": 2},
    ]
    assert {stock for stock, _ in told} == {"stock"}


def test_the_part_that_answers_is_found_and_has_a_stock_twin_of_its_scheduler():
    plain, bringing = Part("none", StockPipeline.__base__()), Part("pipeline", ForeignPipeline("a.py:B", scheduler="DDPM"))
    assert foreign.answering_part(Composition((plain, bringing))) is bringing
    assert foreign.answering_part(Composition((plain,))) is None
    assert foreign.stock_twin(bringing).mitigation == StockPipeline("DDPM")
    assert foreign.stock_twin(plain).mitigation == StockPipeline()
    assert foreign.pipeline_part(StockPipeline()) == Part("pipeline", StockPipeline())


def test_a_call_alone_has_its_arguments_and_gives_or_raises_what_it_does():
    assert alone(lambda one, *, other: (one, other), 1, other=2) == (1, 2)
    with pytest.raises(ZeroDivisionError):
        alone(lambda: 1 / 0)


def test_an_iterator_of_a_plugin_gives_its_items_and_its_fault_is_named():
    def items():
        yield from (1, None, 3)
        raise KeyError("gone")

    found = each(items(), "mitigation x")
    assert [next(found) for _ in range(3)] == [1, None, 3]
    with pytest.raises(PluginFault, match=r"mitigation x: found KeyError.*an iterator that goes on or ends"):
        next(found)
    assert list(each(iter(()), "x")) == []


@pytest.mark.parametrize(("error", "seen"), [
    (ValueError("odd"), PluginFault),
    (SystemExit(3), PluginFault),
    (InvalidValue("a", "b", "c", "d"), InvalidValue),
    (TimeUp(1.0, "here"), TimeUp),
])  # fmt: skip
def test_what_a_plugin_raises_is_its_fault_and_what_is_ours_passes(error, seen):
    with pytest.raises(seen) as caught, plugin_code("mitigation x", "a hook that returns"):
        raise error
    if seen is PluginFault:
        assert (caught.value.where, caught.value.expected) == ("mitigation x", "a hook that returns")
        assert caught.value.__cause__ is error
