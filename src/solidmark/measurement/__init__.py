"""Measurement: from a case to its record. Read `measure` first."""
