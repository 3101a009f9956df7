"""Errors: each says where, what, what was expected and the cure, and reaches the controller whole."""

import copy
import pickle

import pytest

from solidmark import errors
from solidmark.errors import DamagedFile, InvalidValue, NotApplicable, PluginFault, SolidmarkError, UnknownName

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
