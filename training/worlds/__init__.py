"""Worlds to learn from. Importing this package registers their Gymnasium environments."""
