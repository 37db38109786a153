"""Recordings that are datasets: writer, reader, replay, and the world as an environment.

Importing this package registers `helios/World-v0` where Gymnasium is installed, so that
`gymnasium.make("engine.rollouts:helios/World-v0")` finds it.
"""

from importlib.util import find_spec

if find_spec("gymnasium"):
    from gymnasium.envs.registration import register, registry

    if "helios/World-v0" not in registry:
        register(
            "helios/World-v0",
            entry_point="engine.rollouts.env:WorldEnv",
            vector_entry_point="engine.rollouts.vector_env:WorldVectorEnv",
        )
