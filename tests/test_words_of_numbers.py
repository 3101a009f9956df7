"""How numbers are written: digits, signs, intervals and plurals, at the values where the writing changes."""

import math

import pytest
from solidmark.reports import finding_cards, page, table

from solidmark import errors
from solidmark.schema.numbers import Estimate, Share


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (999.4, "999"),
        (1000.0, "1,000"),
        (-1000.0, "-1,000"),
        (12345.6, "12,346"),
        (0.12345, "0.123"),
        (-0.0, "0"),
        (1e-9, "1e-09"),
    ],
)
def test_numbers_of_a_finding_have_three_digits_or_all_before_the_point(value, text):
    assert finding_cards.digits(value) == text


@pytest.mark.parametrize(("order", "text"), [(0.123456, "0.1235"), (123456.0, "1.235e+05"), (7, "7"), ("ok", "ok")])
def test_what_a_cell_sorts_by_has_four_digits(order, text):
    assert page.digits(order) == text


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (0.01, "0.01"),
        (0.00999, "0.01"),
        (0.001, "0.001"),
        (9.9e-5, "1 × 10⁻⁴"),
        (4.2e-7, "4 × 10⁻⁷"),
        (0.0, "below 10⁻³⁰⁰"),
        (1.0, "1"),
    ],
)
def test_small_probabilities_are_powers_of_ten(p, text):
    assert page.probability(p) == text


@pytest.mark.parametrize(
    ("number", "form", "text"),
    [
        (Estimate(0.88, 0.86, 0.9), table.TWO, "0.88 [0.86, 0.90]"),
        (Estimate(-0.001, -0.004, 0.2), table.TWO, "0.00 [0.00, 0.20]"),
        (Estimate(0.88), table.ONE, "0.9"),
        (Share(1, 4, 0.1, 0.6, 0.0), table.TWO, "0.25 [0.10, 0.60]"),
        (Estimate(0.1, 0.05, 0.15), table.SIGNED, "+0.10 [+0.05, +0.15]"),
    ],
)
def test_a_number_has_its_interval_where_it_has_one(number, form, text):
    assert table.with_interval(number, form) == text


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (table.Cell("1", "[0, 2]", "chance 0"), "1 [0, 2] (chance 0)"),
        (table.Cell("1", comparison="real 2"), "1 (real 2)"),
        (table.Cell("1"), "1"),
    ],
)
def test_a_cell_in_one_line_has_interval_and_comparison(cell, text):
    assert cell.text == text


@pytest.mark.parametrize(
    ("name", "near", "told"), [("outpiant", ["grid", "outpaint"], "outpaint"), ("qqq", ["b", "a"], "a, b")]
)
def test_an_unknown_name_is_told_with_those_there_are_in_order(name, near, told):
    assert told in str(errors.UnknownName.among("--queries", name, near))


def test_what_is_not_a_number_is_written_as_such():
    assert finding_cards.digits(math.inf) == "inf"
