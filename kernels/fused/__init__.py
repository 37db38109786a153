"""Triton kernels; importing a module of this folder needs Triton, importing the folder does not."""
