"""Names of the files of an export, within its folder."""

SCHEMA = "solidmark.export/1"
ABOUT, CARD, ENTRIES, IMAGES, LEDGER = "export.json", "README.md", "store", "images", "ledger"
