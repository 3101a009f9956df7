"""How fast the suite is, beside its goals: `python -m perf`, from a checkout."""
