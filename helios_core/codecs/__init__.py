"""Codecs between pixels and latents, behind one interface."""
