"""Metrics: pure functions of arrays, from predicted and true keys, or images, to numbers with their intervals."""
