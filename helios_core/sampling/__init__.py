"""From noise to a chunk of latents: schedules, solvers, guidance, noise, and `chunk` on top."""
