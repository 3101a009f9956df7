"""The curve of one family: its settings, its frontier with band, the references of its stages, the baseline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from markupsafe import Markup

from solidmark.leaderboard import Curve, Row
from solidmark.leaderboard.measures import CONTENT, KEYS

from .plot import Frame, axes, band, bar, drawing, kept_words, line, mark
from .remembered import remembered
from .table import with_interval

PANEL = Frame(340, 32, 330, 8, 200)


def family_curve(name: str, curve: Curve, references: Sequence[Curve], rows: Mapping[str, Row]) -> Markup:
    """One family by one yardstick; `rows` are those of the testbed by mitigation, `name` makes its ids unique.

    The gold standard has its settings alone: what lies between it and the baseline nobody could use.
    """
    looks = "own" if not curve.reference else "standard"
    parts = [
        axes(PANEL, curve.axis),
        *(line(PANEL, reference, "reference", flat=True) for reference in references),
        *([] if curve.gold else [band(PANEL, curve, f"band {looks}"), line(PANEL, curve, f"line {looks}")]),
        *_settings(curve, rows),
        *_baseline(curve),
    ]
    return drawing(PANEL, f"panel {looks}", name, alternative(curve), parts)


def _settings(curve: Curve, rows: Mapping[str, Row]) -> Iterable[Markup]:
    """Each setting with its interval, its numbers as a title; the leading query as a ring where it finds another M."""
    for point in curve.points[1:]:
        row, kept = rows[point.mitigation], 1 - point.loss
        found = remembered(row, curve.measure)
        if found is None:
            continue
        words = f"{point.mitigation}: {yardstick(curve)} {with_interval(found)}, keeps {100 * kept:.0f} %"
        shape = "square" if curve.measure == CONTENT.name else "circle"
        marks = bar(PANEL, kept, found.limits) + mark(PANEL, kept, point.memory, shape)
        yield Markup("<g><title>{}</title>{}{}</g>").format(words, marks, _ring(curve, row, kept))


def _ring(curve: Curve, row: Row, kept: float) -> Markup:
    if curve.measure != KEYS.name or row.worst is None or row.worst.queries == 1 or row.lead is None:
        return Markup("")
    x, y = PANEL.x(kept), PANEL.y(row.lead.memorization.value)
    return Markup(f'<circle class="ring" cx="{x:.1f}" cy="{y:.1f}" r="4"/>')


def _baseline(curve: Curve) -> Iterable[Markup]:
    if curve.points:
        yield Markup("<g class='baseline'>{}</g>").format(mark(PANEL, 1.0, curve.points[0].memory, "star"))


def yardstick(curve: Curve) -> str:
    """`M*`, or `content`."""
    return "content" if curve.measure == CONTENT.name else KEYS.title


def alternative(curve: Curve) -> str:
    """What the curve shows, in words."""
    if len(curve.points) < 2:
        return f"{curve.family}: no numbers, {curve.reason}"
    values = [point.memory for point in curve.points[1:]]
    return (
        f"{curve.family}: {yardstick(curve)} from {min(values):z.2f} to {max(values):z.2f} at {len(values)} settings, "
        f"against {kept_words(curve.axis)}, with the reference of its stage"
    )
