"""Scenes: worlds that a designer scripts in YAML, checks, edits while they run, and renders.

`load` reads and checks a file, `director` plays it latch by latch, `live` swaps it on save. Not
here: windows, devices, weights. Nothing in this package imports pygame or torch.

    file = load_scene("demos/storm.yaml")         # load; a SceneError names every mistake
    scene = file.scene                            # scene.seed, .pack, .start, .presets, ...
    state = world.start(seed=scene.seed, prompt=scene.first_prompt.text)
    bindings = bindings_from(world.info.spec, scene=scene.bindings.layer())
    director = LiveDirector(file, world.info)     # in a window: live
    director = SceneDirector(file, world.info)    # headless: director
"""
