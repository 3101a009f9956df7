"""Reports: pure functions of records, each found by its entry point in the group `solidmark.reports`.

A report is a function `render(board, runs) -> str`. What it returns is written to `leaderboard.<name>`, where `<name>` is
that of the entry point:

    board   a `solidmark.leaderboard.Leaderboard`: rows, testbeds, incidents, notes, provenance
    runs    folders of the runs, for what only files have (the gallery's pictures); may be missing or damaged

The same records give the same bytes: no clock, no random number, no machine. Nothing here imports torch.
"""

if __name__ != "solidmark.reports":
    raise ImportError(f"import solidmark.reports, not {__name__}: the folder is a part of the installed package")
