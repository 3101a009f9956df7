"""A collection: a folder of images is marked, handed out, later asked from a model, and certified where it was memorized."""
