"""The loop that every stage shares: run directory, optimisers, checkpoints, metrics."""
