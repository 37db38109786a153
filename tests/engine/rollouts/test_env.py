"""The world as an environment: Gymnasium's own checks, spaces, states, rewards, batches, logs."""

import warnings

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

from engine.rollouts.reader import RolloutDataset
from engine.rollouts.record import frame_hashes
from engine.rollouts.replay import verify
from engine.rollouts.rewards import fact_reached, sees_colour, walked
from helios_core.null_world import NullWorld
from helios_core.packs.build import assemble
from helios_core.packs.builtin import random_manifest, random_modules
from tests.engine.rollouts.scenes import CHUNK, HEIGHT, WIDTH, small_world
from tests.engine.test_opening import saved_in

ID = "engine.rollouts:helios/World-v0"


def make(**settings):
    return gym.make(ID, **{"pack": small_world, "render_mode": "rgb_array"} | settings)


def make_vec(count, **settings):
    settings = {"pack": small_world} | settings
    return gym.make_vec(ID, num_envs=count, vectorization_mode="vector_entry_point", **settings)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"step": "frame"},
        {"actions": "normalised", "size": (16, 24), "stack": 3},
        {"actions": "dict"},
        {"actions": "discrete"},
        {"actions": "track"},
    ],
    ids=lambda s: ", ".join(f"{k} {v}" for k, v in s.items()) or "default",
)
def test_gymnasium_checks_pass(settings):
    with warnings.catch_warnings():
        warnings.filterwarnings("error")
        warnings.filterwarnings("ignore", message=".*we recommend using a symmetric.*")
        check_env(make(**settings).unwrapped)


def test_a_trained_kind_of_world_passes_the_checks_too():
    check_env(make(pack=_random_world, actions="normalised").unwrapped)


def _random_world():
    manifest = random_manifest(height=32, width=48)
    cpu = torch.device("cpu")
    return assemble(manifest, {}, random_modules(manifest), device=cpu, dtype=torch.float32)


def test_a_chunk_step_shows_what_the_world_makes_of_the_action():
    world = small_world()
    env = make(pack=lambda: world, prompt="a meadow")
    observation, info = env.reset(seed=3)
    state = world.start(seed=3, prompt="a meadow")
    state, frames = world.advance(state, world.info.spec.zeros(CHUNK))
    np.testing.assert_array_equal(observation, frames[-1])
    assert (info["chunk"], info["seed"], info["prompt"]) == (0, 3, "a meadow")
    action = world.info.spec.build(1, move_forward=1, look_yaw=90)[0]
    observation, _, _, _, info = env.step(action)
    _, frames = world.advance(state, np.tile(action, (CHUNK, 1)))
    np.testing.assert_array_equal(observation, frames[-1])
    np.testing.assert_array_equal(env.render(), frames[-1])
    np.testing.assert_array_equal(info["applied_action"], action)
    assert info["age_ms"] == 150.0


def test_a_frame_step_holds_the_action_of_its_latch():
    env = make(step="frame")
    env.reset(seed=0)
    spec = small_world().info.spec
    left, right = spec.build(1, look_yaw=-90)[0], spec.build(1, look_yaw=90)[0]
    infos = [env.step(left if i == 0 else right)[4] for i in range(CHUNK + 1)]
    yaw = [info["applied_action"][2] for info in infos]
    assert yaw == [-90] * CHUNK + [90]
    assert [info["offset"] for info in infos] == [0, 1, 2, 3, 0]
    assert [info["age_ms"] for info in infos] == [0, 50, 100, 150, 0]


def test_spaces_speak_of_the_same_actions():
    spec = small_world().info.spec
    wanted = spec.build(CHUNK, move_forward=1, look_yaw=60)
    row = wanted[0]
    dictionary = {
        c.name: int(row[i]) if c.kind == "button" else np.array([row[i]], np.float32)
        for i, c in enumerate(spec.channels)
    }
    signed = row / np.array([c.scale for c in spec.channels])
    same = {"box": row, "dict": dictionary, "normalised": signed, "track": wanted, "discrete": 6}
    for kind, action in same.items():
        env = make(actions=kind)
        np.testing.assert_allclose(env.unwrapped._line.actions.values(action), wanted, rtol=1e-6)


@pytest.mark.parametrize(
    ("kind", "action", "message"),
    [
        ("box", 0.5, "has shape"),
        ("box", [0.5], "has shape"),
        ("box", [np.nan] * 6, "not finite"),
        ("normalised", [0.5], "has shape"),
        ("track", [0.5] * 6, "has shape"),
        ("discrete", -1, "choose 0 to 7"),
        ("discrete", 8, "choose 0 to 7"),
        ("dict", {"jump": 1}, "the action names jump; it takes move_forward"),
    ],
)
def test_an_action_that_is_none_of_the_space_is_refused(kind, action, message):
    env = make(actions=kind)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=message):
        env.step(action)


def test_an_action_with_a_channel_too_many_is_refused():
    env = make(actions="dict")
    env.reset(seed=0)
    with pytest.raises(ValueError, match="move_foward; it takes"):
        env.step(env.action_space.sample() | {"move_foward": 1})


def test_observations_stack_and_shrink():
    env = make(stack=6, size=(16, 24))
    first, _ = env.reset(seed=0)
    assert first.shape == (6, 16, 24, 3)
    np.testing.assert_array_equal(first[0], first[2]), "the oldest is repeated"
    second = env.step(env.action_space.sample())[0]
    np.testing.assert_array_equal(second[:2], first[-2:])


def test_an_observation_belongs_to_who_got_it():
    env = make(stack=2)
    env.reset(seed=0)
    observation = env.step(env.action_space.sample())[0]
    before = env.render()
    observation //= 2
    np.testing.assert_array_equal(env.render(), before)


def test_states_branch_and_repeat():
    for settings in ({}, {"step": "frame"}):
        env = make(**settings).unwrapped
        env.reset(seed=1)
        env.action_space.seed(0)
        actions = [env.action_space.sample() for _ in range(6)]
        env.step(actions[0])
        moment = env.get_state()
        first = [env.step(a)[0] for a in actions[1:]]
        np.testing.assert_array_equal(env.set_state(moment), env.render())
        again = [env.step(a)[0] for a in actions[1:]]
        np.testing.assert_array_equal(first, again)
        other = make(**settings).unwrapped
        other.set_state(moment)
        np.testing.assert_array_equal(other.step(actions[1])[0], first[0])


def test_reset_options_start_elsewhere():
    env = make()
    _, info = env.reset(seed=0, options={"prompt": "lava", "seed": 9})
    assert (info["prompt"], info["seed"]) == ("lava", 9)
    handle = env.step(env.action_space.sample())[4]["state"]
    _, info = env.reset(options={"state": handle})
    assert info["chunk"] == handle.chunk and info["prompt"] == "lava"
    blob = small_world().save_state(handle.state)
    _, info = env.reset(options={"state": blob})
    assert info["chunk"] == handle.chunk
    with pytest.raises(ValueError, match="no option 'promt'"):
        env.reset(options={"promt": "typo"})


def test_a_prompt_may_change_inside_an_episode():
    env = make(prompt="a meadow")
    env.reset(seed=0)
    env.unwrapped.set_prompt("snow")
    info = env.step(env.action_space.sample())[4]
    assert info["prompt"] == "snow" and 0 < info["prompt_weight"] < 1


def test_a_wrong_setting_names_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'actions'"):
        make(action="box")
    with pytest.raises(ValueError, match='use step "chunk"'):
        make(actions="track", step="frame")


class Odometer:
    """An oracle that sums the way forward."""

    def __init__(self, seed):
        self.way = float(seed)

    def step(self, applied):
        self.way += float(applied[:, 0].sum())
        return {"way": self.way}

    def snapshot(self):
        return self.way

    def restore(self, way):
        self.way = way


def test_rewards_and_ends_are_functions():
    env = make(reward=walked, terminated=fact_reached("way", 7.0), oracle=Odometer)
    forward = small_world().info.spec.build(1, move_forward=1)[0]
    env.reset(seed=0)
    steps = [env.step(forward) for _ in range(2)]
    assert [s[1] for s in steps] == [1.0, 1.0] and [s[2] for s in steps] == [False, True]
    assert steps[-1][4]["facts"] == {"way": 8.0}
    by_name = make(reward="engine.rollouts.rewards:walked")
    by_name.reset(seed=0)
    assert by_name.step(forward)[1] == 1.0
    with pytest.raises(ValueError, match="needs an environment with an oracle"):
        blind = make(terminated=fact_reached("way", 7.0))
        blind.reset(seed=0)
        blind.step(forward)


def test_the_colour_reward_sees_what_is_in_the_middle():
    from engine.rollouts.env_config import Transition

    frames = np.zeros((2, 30, 30, 3), np.uint8)
    frames[-1, 10:20, 10:15] = (250, 120, 30)
    shown = Transition(frames=frames, applied=np.zeros((2, 6)), info={}, facts=None)
    assert sees_colour((255, 128, 0))(shown) == 0.5


def test_an_episode_ends_when_its_scene_does(tmp_path):
    scene = tmp_path / "short.yaml"
    scene.write_text(
        "title: Short\npack: 'null'\nprompts: {start: a meadow}\n"
        "timeline: [{at: frame 8, end: true}]\n"
    )
    env = make(pack="null", scene=str(scene))
    _, info = env.reset(seed=0)
    assert info["prompt"] == "a meadow"
    assert [env.step(env.action_space.sample())[2] for _ in range(2)] == [False, True]


def test_what_a_scene_saved_belongs_to_the_moment(tmp_path):
    scene = tmp_path / "scene.yaml"
    scene.write_text("""\
title: A test
prompts: {meadow: a meadow at noon}
timeline:
  - {at: 1s, save: camp}
triggers:
  - {when: held(jump) > 0s, load: camp}
""")
    env, other = (make(scene=str(scene), actions="dict").unwrapped for _ in range(2))
    still = {name: 0 * value for name, value in env.action_space.sample().items()}
    env.reset(seed=0)
    early = env.get_state()
    for _ in range(12):
        env.step(still)
    late = env.get_state()
    other.reset(seed=0)
    for moment, chunk in ((late, 5), (early, 1)):
        for one in (env, other):
            one.set_state(moment)
            assert one.step(still | {"jump": 1})[4]["chunk"] == chunk


CAMP = """\
title: A test
prompts: {meadow: a meadow at noon}
timeline:
  - {at: 0s, save: camp}
  - {at: 1s, load: camp}
"""


def test_a_load_begins_an_episode_of_the_log(tmp_path):
    (tmp_path / "scene.yaml").write_text(CAMP)
    record = str(tmp_path / "a")
    env = make(scene=str(tmp_path / "scene.yaml"), record=record, reward=walked).unwrapped
    env.reset(seed=0)
    chunks = [env.step(env.action_space.sample())[4]["chunk"] for _ in range(7)]
    assert chunks == [1, 2, 3, 4, 0, 1, 2]
    env.close()
    data = RolloutDataset.open(record)
    logged = [(e.length, e.header.parent) for e in data.episodes]
    assert logged == [(5 * CHUNK, None), (3 * CHUNK, None)]
    assert all(verify(env.world, data, e).identical for e in (0, 1))


class Begun(NullWorld):
    """A world that keeps how it was started."""

    def start(self, **how):
        self.how = how
        return super().start(**how)


def test_a_scene_runs_over_the_beginning_that_was_asked_for(tmp_path):
    (tmp_path / "scene.yaml").write_text(CAMP)
    world = Begun(height=HEIGHT, width=WIDTH, chunk_frames=CHUNK)
    env = make(pack=lambda: world, scene=str(tmp_path / "scene.yaml"))
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for prompt, text in ((None, "a meadow at noon"), ("snow", "snow")):
        env.reset(seed=3, options={"image": image, "prompt": prompt})
        assert world.how["image"] is image
        assert (world.how["prompt"], world.how["seed"]) == (text, 3)
    env.reset(options={"clip": image[None]})
    assert world.how["clip"].shape == (1, HEIGHT, WIDTH, 3)
    handle = env.step(env.action_space.sample())[4]["state"]
    _, info = env.reset(options={"state": handle})
    chunks = [info["chunk"]] + [env.step(env.action_space.sample())[4]["chunk"] for _ in range(5)]
    assert chunks == [2, 3, 4, 5, 6, 2], "the scene loads what it saved a second before"
    with pytest.raises(ValueError, match="give one"):
        env.reset(options={"state": handle, "image": image})


def test_a_prompt_reaches_a_scene_that_goes_on_from_a_session(tmp_path):
    saved_in(tmp_path, "")
    scene = tmp_path / "scene.yaml"
    scene.write_text("title: A test\nprompts: {snow: snow}\nstart: {session: s.helios}\n")
    env = make(pack="null", scene=str(scene))
    texts = [env.reset(options={"prompt": p})[1]["prompt"] for p in (None, "lava")]
    assert texts == ["a meadow at noon", "lava"]


def test_wrappers_for_time_and_frames_work():
    from gymnasium.wrappers import FrameStackObservation, TimeLimit

    env = FrameStackObservation(TimeLimit(make(), 3), 2)
    observation, _ = env.reset(seed=0)
    assert observation.shape == (2, HEIGHT, WIDTH, 3)
    assert [env.step(env.action_space.sample())[3] for _ in range(3)] == [False, False, True]


def test_a_batch_of_worlds_equals_the_single_ones():
    world = small_world()
    envs = make_vec(3, pack=lambda: world)
    single = [make(pack=lambda: world) for _ in range(3)]
    observations, infos = envs.reset(seed=4)
    for i, env in enumerate(single):
        np.testing.assert_array_equal(env.reset(seed=4 + i)[0], observations[i])
    assert infos["seed"].tolist() == [4, 5, 6]
    envs.action_space.seed(0)
    for _ in range(3):
        actions = envs.action_space.sample()
        observations = envs.step(actions)[0]
        for i, env in enumerate(single):
            np.testing.assert_array_equal(env.step(actions[i])[0], observations[i])


def test_a_batch_is_one_forward_pass():
    calls = []

    class Counting(NullWorld):
        def generate_batch(self, states, *rest, **named):
            calls.append(len(states))
            return super().generate_batch(states, *rest, **named)

    envs = make_vec(5, pack=lambda: Counting(height=HEIGHT, width=WIDTH))
    envs.reset(seed=0)
    envs.step(envs.action_space.sample())
    assert calls == [5, 5]


def test_ended_worlds_begin_anew_at_the_next_step():
    envs = make_vec(2, max_steps=2)
    envs.reset(seed=0)
    chunks = []
    for _ in range(4):
        *_, truncated, infos = envs.step(envs.action_space.sample())
        chunks.append((infos["chunk"][0], truncated[0]))
    assert chunks == [(1, False), (2, True), (0, False), (1, False)]


@pytest.mark.parametrize("seed", [3, [3, 4]], ids=["one", "each"])
def test_what_begins_anew_follows_from_a_worlds_own_seed(seed):
    single = [make() for _ in range(2)]
    [env.reset(seed=3 + i) for i, env in enumerate(single)]
    later = [[env.reset()[1]["seed"] for _ in range(2)] for env in single]
    envs = make_vec(2, max_steps=1)
    envs.reset(seed=seed)
    begun = [envs.step(envs.action_space.sample())[4]["seed"].tolist() for _ in range(4)]
    assert np.transpose(begun[1::2]).tolist() == later


def test_vector_states_copy_one_moment_to_every_world():
    envs = make_vec(3).unwrapped
    envs.reset(seed=0)
    envs.step(envs.action_space.sample())
    moment = envs.get_state()[1]
    observations = envs.set_state([moment] * 3)
    assert (observations == observations[0]).all()


def test_vector_states_need_no_reset_before():
    moment = make_vec(1).unwrapped
    moment.reset(seed=0)
    envs = make_vec(2, max_steps=1).unwrapped
    envs.set_state(moment.get_state() * 2)
    *_, truncated, _ = envs.step(envs.action_space.sample())
    assert truncated.all()
    assert envs.step(envs.action_space.sample())[4]["chunk"].tolist() == [0, 0]


def test_vector_wrappers_work():
    from gymnasium.wrappers.vector import RecordEpisodeStatistics

    envs = RecordEpisodeStatistics(make_vec(2, max_steps=2, reward=walked))
    envs.reset(seed=0)
    for _ in range(2):
        infos = envs.step(envs.action_space.sample())[4]
    assert infos["episode"]["l"].tolist() == [2, 2]


@pytest.mark.parametrize("settings", [{}, {"step": "frame"}], ids=["chunk", "frame"])
def test_an_environment_records_and_the_log_replays(tmp_path, settings):
    world = _random_world()
    env = make(
        pack=lambda: world, record=str(tmp_path / "a"), reward=walked, max_steps=6, **settings
    )
    for seed in (1, 2):
        env.reset(seed=seed)
        env.action_space.seed(seed)
        ended = False
        while not ended:
            *_, ended, _ = env.step(env.action_space.sample())
    env.close()
    data = RolloutDataset.open(tmp_path / "a")
    frames = CHUNK + 6 * (1 if settings else CHUNK)
    assert [e.length for e in data.episodes] == [frames, frames]
    assert data.episodes[1].header.extra == {"env_seed": 2}
    assert data.read(0).extras["next.reward"].any()
    assert all(verify(world, data, e).identical for e in (0, 1))


def test_a_batched_log_replays_bit_for_bit(tmp_path):
    """Torch worlds: the sums of a batch of 3 may differ from those of one world alone."""
    world = _random_world()
    envs = make_vec(3, pack=lambda: world, record=str(tmp_path / "a"))
    envs.reset(seed=0)
    for _ in range(2):
        envs.step(envs.action_space.sample())
    envs.close()
    for i in range(3):
        data = RolloutDataset.open(tmp_path / "a" / f"world-{i:03d}")
        result = verify(world, data, 0)
        assert result.identical and result.frames == 3 * CHUNK


def test_a_log_from_the_middle_of_a_chunk_holds_the_frames_that_were_shown(tmp_path):
    env = make(record=str(tmp_path / "a"), step="frame", reward=walked).unwrapped
    env.reset(seed=0)
    env.action_space.seed(1)
    for _ in range(2):
        env.step(env.action_space.sample())
    env.set_state(env.get_state())
    shown = [env.step(env.action_space.sample())[0] for _ in range(CHUNK)]
    env.close()
    data = RolloutDataset.open(tmp_path / "a")
    logged = data.columns(1)
    assert logged["frame.hash"].tolist() == frame_hashes(np.stack(shown)).tolist()
    assert logged["chunk.offset"].tolist() == [*range(2, CHUNK), 0, 1]
    assert verify(env.world, data, 1).identical
