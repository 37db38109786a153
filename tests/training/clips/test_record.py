"""Recording games: two real ones, resuming, and refusing other clips."""

import numpy as np
import pytest
from gymnasium import spaces

from engine.rollouts.reader import RolloutDataset
from training.clips.pictures import fit
from training.clips.policies import RandomPolicy, make_policy, repeat
from training.clips.recorder import RecordConfig, record
from training.clips.report import problems, summarise
from training.worlds.games.mapping import load_mapping, parse

GAMES = ("freedoom", "car-racing")


@pytest.mark.parametrize("game", GAMES)
def test_a_real_game_is_recorded_and_read_back(game: str, tmp_path) -> None:
    mapping = load_mapping(game)
    config = RecordConfig(out=str(tmp_path / "clips"), episodes=2, frames=100)
    assert record(mapping, config) == 200
    dataset = RolloutDataset.open(tmp_path / "clips")
    window = dataset.read(1)
    assert window.frames.shape == (100, mapping.height, mapping.width, 3)
    assert window.frames.std() > 5
    assert dataset.spec.actions == mapping.spec
    assert list(problems(dataset)) == []
    assert summarise(dataset).frames == 200


def test_a_stopped_recording_goes_on_and_equals_a_whole_one(tmp_path) -> None:
    mapping = load_mapping("car-racing")
    for episodes in (1, 2):
        config = RecordConfig(out=str(tmp_path / "a"), episodes=episodes, frames=30)
        record(mapping, config)
    record(mapping, RecordConfig(out=str(tmp_path / "b"), episodes=2, frames=30))
    one, two = (RolloutDataset.open(tmp_path / name) for name in "ab")
    for episode in range(2):
        first, second = one.read(episode), two.read(episode)
        assert np.array_equal(first.applied, second.applied)
        error = np.abs(first.frames.astype(int) - second.frames).mean()
        assert error < 2, "the video is lossy, the game is not"


class Talker:
    """An environment with one button that tells another prompt from its seventh frame on."""

    action_space = spaces.Discrete(2)

    def reset(self, seed):
        self.frame = 0
        return np.zeros((32, 32, 3), np.uint8), {"prompt": "dawn"}

    def step(self, action):
        self.frame += 1
        info = {"prompt": "dawn" if self.frame < 7 else "noon"}
        return np.zeros((32, 32, 3), np.uint8), 0.0, False, False, info

    def close(self):
        pass


class Thrifty(Talker):
    """An environment that draws every picture, and keeps its pose, in the same place."""

    def reset(self, seed):
        self.picture, self.pose = np.zeros((32, 32, 3), np.uint8), np.zeros(6)
        return self.picture, {"pose": self.pose}

    def step(self, action):
        self.picture += 10
        self.pose += 1
        return self.picture, 0.0, False, False, {"pose": self.pose}


def test_a_picture_and_a_pose_that_change_in_place_are_recorded_as_they_were(
    tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr("gymnasium.make", lambda *_, **__: Thrifty())
    body = {"env": "X-v0", "fps": 10, "channels": [{"name": "use", "kind": "button"}]}
    mapping = parse(body | {"discrete": [{}, {"use": 1}]}, "x")
    config = RecordConfig(out=str(tmp_path / "clips"), episodes=1, frames=20)
    record(mapping, config, player=lambda _, frame: np.ones(1, np.float32))
    window = RolloutDataset.open(tmp_path / "clips").read(0)
    assert np.allclose(window.frames.mean((1, 2, 3)), np.arange(1, 21) * 10, atol=4)
    assert (window.extras["observation.pose"] == np.arange(1, 21)[:, None]).all()


def test_every_frame_has_its_own_prompt_and_a_row_of_one_channel(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("gymnasium.make", lambda *_, **__: Talker())
    body = {"env": "X-v0", "fps": 10, "channels": [{"name": "use", "kind": "button"}]}
    mapping = parse(body | {"discrete": [{}, {"use": 1}]}, "x")
    config = RecordConfig(out=str(tmp_path / "clips"), episodes=1, frames=40)
    assert record(mapping, config, player=lambda _, frame: np.ones(1, np.float32)) == 40
    dataset = RolloutDataset.open(tmp_path / "clips")
    window = dataset.read(0)
    assert window.prompts == ("dawn",) * 6 + ("noon",) * 34
    assert window.applied.shape == window.requested.shape == (40, 1)
    assert (window.applied == 1).all()
    columns = dataset.columns(0)
    assert columns["chunk"].tolist() == [0] * 6 + [1] * 20 + [2] * 14
    assert summarise(dataset).frames == 40


def test_ctrl_c_leaves_an_episode_that_is_recorded_again(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("gymnasium.make", lambda *_, **__: Talker())
    body = {"env": "X-v0", "fps": 10, "channels": [{"name": "use", "kind": "button"}]}
    mapping = parse(body | {"discrete": [{}, {"use": 1}]}, "x")
    config = RecordConfig(out=str(tmp_path / "clips"), episodes=2, frames=40)
    asked = []

    def player(_, frame):
        asked.append(frame)
        if len(asked) == 40 + 30:
            raise KeyboardInterrupt
        return np.ones(1, np.float32)

    with pytest.raises(KeyboardInterrupt):
        record(mapping, config, player=player)
    record(mapping, config, player=player)
    found = RolloutDataset.open(tmp_path / "clips").episodes
    assert [(e.header.seed, e.complete) for e in found] == [(0, True), (1, False), (1, True)]
    assert [e.length for e in found] == [40, 26, 40], "chunks that were whole, and nothing else"


@pytest.mark.parametrize("answer", [[1.0], [[0.0, 1.0]], 1.0, {}])
def test_an_answer_of_other_channels_is_refused(answer, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("gymnasium.make", lambda *_, **__: Talker())
    channels = [{"name": name, "kind": "button"} for name in ("use", "jump")]
    body = {"env": "X-v0", "fps": 10, "channels": channels, "discrete": [{}, {"jump": 1}]}
    config = RecordConfig(out=str(tmp_path / "clips"), episodes=1, frames=10)
    with pytest.raises(ValueError, match=r"the player answered .* shape .*; give 2: use, jump"):
        record(parse(body, "x"), config, player=lambda _, frame: answer)


def test_clips_of_another_game_are_refused(tmp_path) -> None:
    config = RecordConfig(out=str(tmp_path / "clips"), episodes=1, frames=10)
    record(load_mapping("car-racing"), config)
    with pytest.raises(ValueError, match="holds other clips"):
        record(load_mapping("freedoom"), config)


def test_turning_right_in_doom_moves_the_picture_left(tmp_path) -> None:
    """The signs of look_yaw and look_pitch are the project's, not Doom's."""
    import gymnasium

    mapping = load_mapping("freedoom")
    env = gymnasium.make(mapping.env, maps=(1,))
    for channel, axis, sign in (("look_yaw", 1, -1), ("look_pitch", 0, 1)):
        env.reset(seed=1)
        still = [env.step(mapping.to_env(mapping.spec.zeros(1)[0]))[0] for _ in range(8)][-1]
        env.reset(seed=1)
        action = mapping.to_env(mapping.spec.build(1, **{channel: 20.0})[0])
        turned = [env.step(action)[0] for _ in range(8)][-1].astype(float)
        errors = {
            shift: np.abs(np.roll(still, shift, axis)[60:130, 80:240] - turned[60:130, 80:240])
            for shift in range(-40, 41, 2)
        }
        best = min(errors, key=lambda shift: errors[shift].mean())
        assert best * sign > 0, (channel, best)
    env.close()


def test_the_random_policy_rests_a_tenth_of_the_time() -> None:
    spec = load_mapping("freedoom").spec
    policy = RandomPolicy(spec, seed=0, fps=20)
    values = np.stack([policy(np.zeros((2, 2, 3)), i) for i in range(20_000)])
    assert 0.06 < (values == 0).all(1).mean() < 0.2
    assert spec.validate(values) is not None


def test_a_policy_file_plays(tmp_path) -> None:
    file = tmp_path / "walk.py"
    file.write_text(
        "def make_policy(spec, seed):\n"
        "    return lambda picture, frame: spec.build(1, steer=1)[0]\n"
    )
    spec = load_mapping("car-racing").spec
    policy = make_policy(str(file), spec, seed=0, fps=20)
    assert policy(np.zeros((2, 2, 3)), 0).tolist() == [1.0, 0.0, 0.0]
    with pytest.raises(ValueError, match="no policy"):
        make_policy("clever", spec, seed=0, fps=20)


def test_a_track_repeats() -> None:
    policy = repeat(np.arange(6, dtype=np.float32).reshape(3, 2))
    assert policy(np.zeros((2, 2, 3)), 4).tolist() == [2.0, 3.0]


def test_fitting_keeps_the_middle_and_the_aspect() -> None:
    picture = np.zeros((100, 300, 3), np.uint8)
    picture[:, 100:200] = 255
    small = fit(picture, 50, 50)
    assert small.shape == (50, 50, 3) and small.min() > 250
