"""Nothing but what belongs to this checkout: the benchmark itself lives in the installed plugin."""
