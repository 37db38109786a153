"""Wilds: an endless procedural wilderness, walked in first person and rendered in plain torch."""
