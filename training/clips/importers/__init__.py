"""Clips as other projects store them, one module per layout."""
