"""The seal's parts by themselves: what a function does, what a container holds, and which changes are innocent."""

import functools
import json
from types import ModuleType, SimpleNamespace

import pytest
import torch

from solidmark.metrics import scores
from solidmark.runner import seal
from solidmark.runner.options import Options
from solidmark.runner.seal import MISSING


def plain(value=1, *, more=2):
    return value + more


def other(value=1, *, more=2):
    return value - more


@functools.wraps(plain)
def wrapper(*arguments):
    return plain(*arguments)


class Holder:
    @property
    def prop(self):
        return 1

    @classmethod
    def kind(cls):
        return 2

    @staticmethod
    def still():
        return 3


FOUND = {
    "function": (plain, [plain]),
    "wrapped": (wrapper, [wrapper, plain]),
    "cached": (functools.lru_cache(plain), [plain]),
    "partial": (functools.partial(plain, 1), [plain]),
    "property": (vars(Holder)["prop"], [vars(Holder)["prop"].fget]),
    "classmethod": (vars(Holder)["kind"], [Holder.kind.__func__]),
    "staticmethod": (vars(Holder)["still"], [Holder.still]),
    "class": (Holder, []),
    "module": (functools, []),
    "number": (3, []),
    "an object of a stranger": (SimpleNamespace(func=plain), []),
}


@pytest.mark.parametrize("name", FOUND)
def test_functions_are_found_inside_what_wraps_them(name):
    value, functions = FOUND[name]
    assert [*seal._unwrapped(value)] == functions


def test_of_functions_that_wrap_each_other_nine_are_looked_at():
    chain = plain
    for _ in range(20):
        chain = functools.wraps(chain)(lambda inner=chain: inner())
    assert len([*seal._unwrapped(chain)]) == 9


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        (1, 1, True),
        (1, 1.0, False),
        (True, 1, False),
        ("a", "a", True),
        (b"a", b"b", False),
        ([1], [1], False),
        (None, None, True),
    ],
)
def test_plain_values_are_the_same_where_they_are_equal_and_others_where_they_are_one(one, two, same):
    assert seal._same(one, two) is same


def closing(cell):
    def inner(value=cell, *, more=cell):
        return cell, value, more

    return inner


@pytest.mark.parametrize("place", ["code", "defaults", "keywords", "cell"])
def test_what_a_function_does_is_put_back_part_by_part(place):
    function, before = closing(1), seal._parts(closing(1))
    before = seal._parts(function)
    if place == "code":
        function.__code__ = closing(1).__code__.replace(co_name="mine")
    elif place == "defaults":
        function.__defaults__ = (7,)
    elif place == "keywords":
        function.__kwdefaults__ = {"more": 7}
    else:
        function.__closure__[0].cell_contents = 7
    assert not all(map(seal._same, seal._parts(function), before))
    seal._set_parts(function, before)
    assert all(map(seal._same, seal._parts(function), before))
    assert function() == (1, 1, 1)


@pytest.mark.parametrize("value", [{"a": 1}, [1, 2], {3, 4}])
def test_a_container_is_filled_again(value):
    before = seal._contents(value)
    assert before == value
    assert before is not value
    value.clear()
    seal._refill(value, before)
    assert value == before


def test_contents_are_those_of_containers_and_of_our_objects():
    assert seal._contents(Options(seeds="3"))["seeds"] == "3"
    assert seal._contents(Options) is None
    assert seal._contents(SimpleNamespace(a=1)) is None
    assert seal._contents(3) is None
    assert sorted(seal._flat({"a": 1, "b": 2}), key=str) == [1, 2, "a", "b"]
    assert list(seal._flat([3, 4])) == [3, 4]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (MISSING, " was removed"),
        (plain, f" became {__name__}.plain"),
        (Holder, f" became {__name__}.Holder"),
        (3, " was changed"),
    ],
)
def test_a_change_is_described(value, words):
    assert seal._described(value) == words


def test_an_attribute_is_put_back_or_removed():
    holder = SimpleNamespace(a=1)
    seal._set(holder, "b", 2)
    seal._set(holder, "a", MISSING)
    assert vars(holder) == {"b": 2}


MODULE = ModuleType("solidmark.new")
EXPORTING = SimpleNamespace(__all__=["late"])


@pytest.mark.parametrize(
    ("name", "holder", "label", "old", "new", "innocent"),
    [
        ("solidmark", EXPORTING, "new", MISSING, MODULE, True),
        ("solidmark", EXPORTING, "new", MODULE, MODULE, True),
        ("solidmark", EXPORTING, "new", plain, MODULE, False),
        ("solidmark.x", EXPORTING, "late", MISSING, plain, True),
        ("solidmark.x", EXPORTING, "other", MISSING, plain, False),
        ("solidmark.x", EXPORTING, "late", plain, other, False),
        ("torch.x", torch, "number", 1, 2, True),
        ("torch.x", torch, "manual_seed", torch.manual_seed, torch.seed, True),
        ("torch.x", torch, "manual_seed", torch.manual_seed, plain, False),
        ("torch.x", torch, "a_new_name", MISSING, plain, True),
        ("torch.x", torch, "len", MISSING, plain, False),
        ("json", json, "dumps", json.dumps, json.loads, False),
        ("json", json, "dumps", json.dumps, plain, False),
        ("no_such_library", json, "dumps", json.dumps, plain, False),
    ],
)
def test_what_imports_and_libraries_do_by_themselves_is_innocent(name, holder, label, old, new, innocent):
    assert seal._innocent(name, holder, label, old, new) is innocent


def test_a_name_covers_that_of_a_parent_class_or_a_builtin():
    class Child(Holder):
        pass

    assert seal._covered(Child, "kind") is vars(Holder)["kind"]
    assert seal._covered(Child, "nothing") is None
    assert seal._covered(scores, "len") is len
    assert seal._covered(scores, "nothing") is None


@pytest.mark.parametrize(
    ("name", "watched"),
    [
        ("solidmark", True),
        ("solidmark.metrics", True),
        ("solidmarks", False),
        ("json", False),  # but for what of it our files import, which is watched by its name
        ("torch.nn", False),
        ("torch.nn.modules.linear", True),
    ],
)
def test_our_modules_and_those_of_the_libraries_are_watched(name, watched):
    assert seal._is_watched(name) is watched
