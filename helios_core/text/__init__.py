"""Text encoders: prompts to the hidden states that condition the DiT, behind one interface."""
