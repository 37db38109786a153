"""Losses as pure functions over tensors, one file per idea."""
