"""Worlds to learn from, clips, stages of training, evaluation and recipes."""
