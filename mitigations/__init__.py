"""Mitigations, one technique a file, each found by its entry point."""

if __name__ != "solidmark.mitigations":
    raise ImportError(f"import solidmark.mitigations, not {__name__}: the folder is a part of the installed package")
