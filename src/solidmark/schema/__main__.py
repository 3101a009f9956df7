"""`python -m solidmark.schema` writes the JSON schemas of records and leaderboards beside this file."""

from .publish import publish

if __name__ == "__main__":
    for path in publish():
        print(path)
