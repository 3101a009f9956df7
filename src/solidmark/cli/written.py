"""Texts that are written from the templates beside this file, none of whose values may be missing."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

TEMPLATES = Environment(
    loader=PackageLoader("solidmark.cli", "templates"), undefined=StrictUndefined, keep_trailing_newline=True
)


def written(template: str, /, **values: object) -> str:
    """A template with its values. Raises UndefinedError where it names one that is not given."""
    return TEMPLATES.get_template(template).render(**values)
