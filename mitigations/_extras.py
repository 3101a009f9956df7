"""Packages that only some mitigations need. Without them a row is `unsupported` and names what to install."""

from importlib import import_module
from typing import Any

from solidmark.api import NotApplicable


def import_extra(package: str, group: str) -> Any:
    """The module `package`, which the extra `group` of solidmark installs. Raises NotApplicable where it is missing."""
    try:
        return import_module(package)
    except ImportError as cause:
        found, expected = f"{cause}", f"the packages of the extra {group}"
        raise NotApplicable(f"package {package}", found, expected, f"pip install 'solidmark[{group}]'") from cause
