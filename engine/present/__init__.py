"""The window: frames, overlays, HUD and screens. `api` is what the loop knows of it."""
