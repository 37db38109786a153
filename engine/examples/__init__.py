"""Short programs that use the engine as a library: `python -m engine.examples.NAME`."""
