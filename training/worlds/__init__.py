"""Worlds to learn from. Importing this package registers their Gymnasium environments.

    gymnasium.make("training.worlds:helios/Wilds-v0", height=128, width=192)

Rendering needs torch and numpy only: without gymnasium there is merely nothing to register.
"""

import importlib.util

if importlib.util.find_spec("gymnasium"):
    from gymnasium.envs.registration import register

    register(
        id="helios/Wilds-v0",
        entry_point="training.worlds.wilds.env:WildsEnv",
        max_episode_steps=1200,
    )
