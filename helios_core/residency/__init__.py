"""Small devices: text encoder, transformer and codec take turns, blocks stream in groups."""
