"""Scenes: worlds that a designer scripts in YAML, checks, edits while they run, and renders.

`load` reads and checks a file, `director` plays it latch by latch, `live` swaps it on save. Not
here: windows, devices, weights. Nothing in this package imports pygame or torch.

    from engine.scenes.load import load_scene
    director = SceneDirector(load_scene("demos/storm.yaml"), world.info)
"""
