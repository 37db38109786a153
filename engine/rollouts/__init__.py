"""Recordings that are datasets: writer, reader, replay, and the world as an environment."""
