"""The schema: what a record, a row of a leaderboard and their blocks hold. Free of torch; nothing is computed here."""
