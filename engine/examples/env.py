# engine/examples/env.py:
"""Eight worlds in one forward pass, as a Gymnasium environment."""

import gymnasium

from engine.opening import default_pack

envs = gymnasium.make_vec(
    "engine.rollouts:helios/World-v0",
    num_envs=8,
    vectorization_mode="vector_entry_point",
    pack=default_pack(),
    actions="normalised",
    reward="engine.rollouts.rewards:walked",
)
frames, infos = envs.reset(seed=0, options={"prompt": "a meadow at noon"})
for _ in range(5):
    frames, rewards, terminated, truncated, infos = envs.step(envs.action_space.sample())
print(frames.shape, rewards.round(2), infos["chunk"])
envs.close()
