"""The validity suite: what a score of memorization must do. One experiment a file.

Each experiment states its decision rule before its numbers, and ends in a Finding: holds, fails or undecided.
"""
