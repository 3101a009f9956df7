"""The benchmark's cases: what is asked of every mitigation."""
