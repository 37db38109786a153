"""The engine: the loop, input, window, scenes, sessions, rollouts and the command line."""
