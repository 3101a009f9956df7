"""Errors: each says where, what, what was expected and the cure, and reaches the controller whole."""

import copy
import json
import pickle

import pytest

from solidmark import errors
from solidmark.errors import DamagedFile, InvalidValue, NotApplicable, PluginFault, SolidmarkError, UnknownName
from solidmark.mitigation.guard import plugin_code

KINDS = [SolidmarkError, InvalidValue, UnknownName, PluginFault, DamagedFile, NotApplicable]


def test_the_message_has_location_value_expectation_and_cure():
    message = str(InvalidValue("marks.Border", "thickness=0", "at least 1", "Ask for one."))
    assert message == "marks.Border: found thickness=0; expected at least 1. Ask for one."


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("carry", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_every_kind_survives_pickling_with_all_its_parts(kind, carry):
    error = kind("where", 3, "expected", "cure")
    carried = carry(error)
    assert type(carried) is kind
    assert (str(carried), vars(carried)) == (str(error), vars(error))


@pytest.mark.parametrize(
    ("kind", "parent"),
    [(InvalidValue, ValueError), (UnknownName, InvalidValue), *((kind, SolidmarkError) for kind in KINDS[1:])],
)
def test_the_tree_of_the_docstring_holds(kind, parent):
    assert issubclass(kind, parent)
    assert kind.__name__ in errors.__doc__


def test_an_unknown_name_is_answered_by_the_nearest():
    error = UnknownName.among("--mitigation", "gudance-scale", ["gni", "guidance-scale"])
    assert "Did you mean 'guidance-scale'?" in str(error)


def test_an_unknown_name_that_is_like_none_lists_them_all_in_order():
    assert "one of agc, gni. Use one of those." in str(UnknownName.among("--mitigation", "zzzzzz", ["gni", "agc"]))


def test_an_unknown_name_where_nothing_exists_says_so():
    assert "one of (none)" in str(UnknownName.among("--mitigation", "gni", []))


def test_of_a_long_list_a_near_name_is_told_alone_and_else_the_first_line_of_it():
    names = [f"method-{number:03}" for number in range(83)]
    near = str(UnknownName.among("show", "METHOD-0777", names, "`list`"))
    assert near.partition("expected ")[2] == (
        "one of 83 names. Did you mean 'method-077'? Else see `list`, which lists them all."
    )
    far = str(UnknownName.among("show", "zzzz", names, "`list`"))
    assert "one of 83 names, such as method-000, method-001" in far
    assert far.endswith("method-007. See `list`, which lists them all.")
    assert "method-082" in str(UnknownName.among("show", "zzzz", names))  # which nothing else lists


@pytest.mark.parametrize(("name", "found"), [("RNA", "rna"), ("rnaa", "rna"), ("cads", "CADS"), ("zzzz", "")])
def test_the_nearest_name_is_found_whatever_its_case(name, found):
    assert errors.nearest(name, ["rna", "CADS"]) == found


def fails_here():
    raise ValueError("the plugin's own mistake")


def test_a_fault_of_a_plugin_names_its_own_line():
    with pytest.raises(PluginFault) as raised, plugin_code("mitigation mine", "a hook that returns"):
        fails_here()
    assert raised.value.cure == f"See line {fails_here.__code__.co_firstlineno + 1} of test_errors.py."


def parses_nothing():
    json.loads("{")


def test_a_fault_inside_a_library_names_the_line_that_called_it():
    with pytest.raises(PluginFault) as raised, plugin_code("mitigation mine", "a hook that returns"):
        parses_nothing()
    assert raised.value.cure == f"See line {parses_nothing.__code__.co_firstlineno + 1} of test_errors.py."


def calls_one_that_fails():
    fails_here()


def test_of_several_lines_of_a_plugin_the_last_is_named():
    with pytest.raises(PluginFault) as raised, plugin_code("mitigation mine", "a hook that returns"):
        calls_one_that_fails()
    assert raised.value.cure == f"See line {fails_here.__code__.co_firstlineno + 1} of test_errors.py."
