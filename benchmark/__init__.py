"""The benchmark's cases: what is measured of every mitigation."""
