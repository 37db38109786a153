"""Clips on disk and in memory: rendering, encoding, windows for training, corruption."""
