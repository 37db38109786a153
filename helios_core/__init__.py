"""The model: DiT, memory, samplers, conditioning, codecs, packs. No window, no training."""
