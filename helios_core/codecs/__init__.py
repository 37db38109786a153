"""Codecs: pixels to latents and back, behind one interface."""
