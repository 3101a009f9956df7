"""Reports: pure functions of records, each found by its entry point."""

if __name__ != "solidmark.reports":
    raise ImportError(f"import solidmark.reports, not {__name__}: the folder is a part of the installed package")
