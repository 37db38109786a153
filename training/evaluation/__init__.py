"""How good a world is, in figures with intervals and pictures: `helios eval PACK --suite ...`."""
