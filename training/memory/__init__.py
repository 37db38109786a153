"""Ways to train within less memory; each leaves the gradients as they were."""
