"""The validity suite: what a score must do that claims to measure memorization. One experiment a file.

Each experiment states its decision rule before its numbers, and ends in a Finding: holds, fails or undecided.
"""
