"""The suites on a perfect world and on ones that are wrong on purpose: the figures differ."""

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from helios_core.actions import ActionSpec
from helios_core.world import WorldModel
from tests.training import tiny
from training.evaluation import judges, lessons, metrics
from training.evaluation.networks import WINDOW
from training.evaluation.oracle import OracleConfig, oracle_episodes, stills
from training.evaluation.playing import continue_past
from training.evaluation.report import Report
from training.evaluation.run import SUITES, check, evaluate
from training.evaluation.statistics import Figure
from training.evaluation.suites import action, bench, drift, fidelity, revisit
from training.evaluation.suites import prompt as prompt_suite
from training.worlds.wilds.spec import SPEC

from .oracle_world import OracleWorld


class PoseJudge:
    """Stands for the learned judge: knows the true actions of the frames that it is shown."""

    def __init__(self) -> None:
        self.known: dict[bytes, np.ndarray] = {}

    def read(self, pictures: np.ndarray) -> np.ndarray:
        inner = pictures[:, 8:24, 4:40, 0].reshape(len(pictures), -1)
        moved = [np.roll(pictures, s, 2)[:, 8:24, 4:40, 0] for s in (2, -2)]
        right, left = (m.reshape(len(pictures), -1) for m in moved)
        shift = [
            np.sign(
                np.corrcoef(inner[i], right[i + 1])[0, 1] - np.corrcoef(inner[i], left[i + 1])[0, 1]
            )
            for i in range(judges.ACTED - 1, len(pictures) - judges.REACH - 1)
        ]
        values = np.zeros((len(pictures) - WINDOW + 1, SPEC.size), np.float32)
        values[:, SPEC.index("look_yaw")] = np.array(shift) * 60
        return values


def pose_judge(**_) -> tuple[PoseJudge, dict]:
    return PoseJudge(), {"judges": ["look_yaw"]}


@pytest.fixture
def world(monkeypatch):
    made = OracleWorld()
    made.remember(monkeypatch)
    return made


def test_the_truth_is_faithful(world, tmp_path) -> None:
    report = Report(tmp_path)
    config = fidelity.FidelityConfig(clips=2, frames=8, stride=8, past=4)
    fidelity.run(world, config, report)
    assert report.figures["fidelity.next_chunk_psnr.world"].mean == 60
    assert report.figures["fidelity.free_psnr.world"].mean == 60
    assert report.figures["fidelity.next_chunk_gain.repeat"].mean > 0
    assert (tmp_path / "fidelity.png").exists() and (tmp_path / "fidelity.mp4").exists()
    body = json.loads(report.save(pack="oracle").read_text())
    assert body["figures"]["fidelity.free_ssim.world"]["mean"] == pytest.approx(1)


def test_a_deaf_world_loses_fidelity(world, tmp_path) -> None:
    oracle = OracleConfig(count=1, past=4, future=8)
    episodes = oracle_episodes(oracle, height=32, width=48, actions=lessons.pushes)
    made = {}
    for world.fault in ("", "deaf"):
        (clip,) = continue_past(world, episodes)
        made[world.fault] = metrics.psnr(episodes[0].future, clip).mean()
    assert made[""] == 60 > 40 > made["deaf"]


def test_a_codec_is_asked_for_whole_latents_only() -> None:
    codec = tiny.codec()
    past, future = (np.zeros((n, 32, 32, 3), np.uint8) for n in (16, 2 * codec.temporal + 1))
    world = object.__new__(WorldModel)
    world.parts = SimpleNamespace(codec=codec, device="cpu")  # pyright: ignore
    episode: Any = SimpleNamespace(past=past, future=future)
    assert fidelity.reconstruct(world, [episode]).shape == (1, 2 * codec.temporal, 32, 32, 3)


@pytest.mark.parametrize(("fault", "right"), [("", True), ("mirrored", False)])
def test_the_action_suite_tells_left_from_right(
    world, tmp_path, monkeypatch, fault: str, right: bool
) -> None:
    world.fault = fault
    monkeypatch.setattr(judges, "inverse_dynamics", pose_judge)
    report = Report(tmp_path)
    action.run(world, action.ActionConfig(clips=2, frames=28, past=4), report)
    relative = report.notes["action.relative.look_yaw"]
    assert (relative == 1.0) == right
    assert report.figures["action.codec_accuracy.look_yaw"].mean == pytest.approx(
        report.notes["action.on_truth"]["look_yaw"]["accuracy"]
    )  # This world has no codec that could hide anything.
    assert report.figures["action.still_over_pushed_motion"].mean < 0.6


def test_revisit_counts_only_what_turned(world, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(revisit, "PATHS", {"turn-90": revisit.turn(90)})
    monkeypatch.setattr(revisit, "UNLIKE", 20.0)
    monkeypatch.setattr(judges, "inverse_dynamics", pose_judge)
    report = Report(tmp_path)
    revisit.run(world, revisit.RevisitConfig(clips=1, past=4), report)
    assert report.figures["revisit.turn-90.counts"].mean > 0
    assert report.figures["revisit.turn-90.to_oracle"].mean == 60
    world.fault = "frozen"
    frozen = Report(tmp_path)
    revisit.run(world, revisit.RevisitConfig(clips=1, past=4), frozen)
    assert frozen.figures["revisit.turn-90.counts"].mean == 0
    assert "revisit.turn-90.to_first" not in frozen.figures


def test_revisits_that_do_not_count_keep_their_place_among_the_clips(tmp_path) -> None:
    report = Report(tmp_path)
    likeness = {"to_first": np.array([20.0, 40.0, 22.0])}
    revisit._returns("turn-90", np.zeros(3, bool), likeness, report)
    assert not report.figures
    revisit._returns("turn-90", np.array([True, False, True]), likeness, report)
    figure = report.figures["revisit.turn-90.to_first"]
    assert (figure.mean, figure.count, figure.clips) == (21, 2, 3)


def test_revisit_says_when_nobody_can_judge_the_way_out(
    world, tmp_path, monkeypatch, capsys
) -> None:
    monkeypatch.setattr(revisit, "PATHS", {"walk-61": revisit.walk(61)})
    monkeypatch.setattr(judges, "inverse_dynamics", pose_judge)
    report = Report(tmp_path)
    revisit.run(world, revisit.RevisitConfig(clips=1, past=4), report)
    assert report.notes["revisit.walk-61"] == "not judged" and not report.figures
    assert "failed its exam in move_forward" in capsys.readouterr().out


def test_drift_that_nobody_can_judge_is_neither_true_nor_false(
    tmp_path, monkeypatch, capsys
) -> None:
    monkeypatch.setattr(judges, "inverse_dynamics", lambda **_: (PoseJudge(), {"judges": []}))
    report = Report(tmp_path)
    drift._obeys(64, 96, [], report)
    assert report.notes["drift.counts"] == "not judged"
    assert "failed its exam" in capsys.readouterr().out


def test_drift_counts_for_worlds_that_obey_from_first_to_last() -> None:
    def obeys(accuracy: float, chance: float) -> drift.Obedience:
        return drift.Obedience(accuracy=accuracy, chance=chance)

    third, nan = 1 / 3, float("nan")
    cases = (
        (obeys(0.8, third), obeys(0.78, third), True),
        (obeys(0.8, third), obeys(0.6, third), False),
        (obeys(0.34, third), obeys(0.34, third), False),
        (obeys(0.8, third), obeys(nan, nan), "not judged"),
        # Guessing between two ways is as often right as this first tenth, and still guessing.
        (obeys(0.5, third), obeys(0.5, 0.5), False),
    )
    for first, last, verdict in cases:
        assert drift.counts(first, last)[0] == verdict


def test_paths_return_to_where_they_began() -> None:
    for name, path in revisit.PATHS.items():
        turned = path[:, SPEC.index("look_yaw")].sum() / 20
        assert turned % 360 == pytest.approx(0, abs=1e-3), name
        assert path[:, SPEC.index("move_forward")].sum() == 0


def test_pushes_cover_every_channel_and_rest() -> None:
    values = lessons.pushes(np.random.default_rng(0), 16, 64)
    for clip in values:
        SPEC.validate(clip)
    assert (values.reshape(-1, SPEC.size) > 0).any(0).all()
    assert (drift.walk(0, 2, 130) != 0).any()


def test_agreement_is_chance_on_nonsense() -> None:
    rng = np.random.default_rng(1)
    true = np.stack([rng.choice([-1.0, 0.0, 1.0], 3000) * c.scale for c in SPEC.channels], -1)
    good = judges.agreement(true * 0.9, true)
    bad = judges.agreement(true[rng.permutation(3000)], true)
    for channel in SPEC.channels:
        assert good[channel.name]["accuracy"] == 1.0
        assert bad[channel.name]["accuracy"] == pytest.approx(1 / 3, abs=0.06)
    nothing = judges.agreement(true, true, np.zeros(true.shape, bool))
    assert nothing["jump"]["accuracy"] is None


def test_the_worst_tenth_counts_not_the_last() -> None:
    values = np.array([[1.0, 1.5, 1.0], [2.0, 2.0, 1.0]])
    assert np.allclose(drift.worst(values), [0.5, 0.5])


def test_stills_cover_every_tenth_and_the_judged_runs_are_its_end(world, monkeypatch) -> None:
    played = []

    def play(world, states, actions):
        first = sum(a.shape[1] for a in played)
        played.append(actions)
        frames = np.arange(first, first + actions.shape[1], dtype=np.uint8)
        return np.broadcast_to(frames[None, :, None, None, None], (1, len(frames), 2, 2, 3)), states

    monkeypatch.setattr(drift, "play", play)
    monkeypatch.setattr(drift, "PIECE", 8)
    config = drift.DriftConfig(clips=1, sample=8, stills=3)
    segments = drift._segments(world, [None], np.zeros((1, 200, SPEC.size)), config)
    at = np.stack([s.stills[0, :, 0, 0, 0] for s in segments])
    assert (at == drift._moments(200, 3)).all()
    assert (at // 20 == np.arange(10)[:, None]).all()
    assert [s.run[0, :, 0, 0, 0].tolist() for s in segments[:2]] == [
        list(range(12, 20)), list(range(32, 40)),
    ]  # fmt: skip


def test_stills_are_the_truth_of_the_same_walk() -> None:
    config = OracleConfig(count=1, past=4, future=8)
    (episode,) = oracle_episodes(config, height=32, width=48)
    seen = stills(config, _future(config), [2, 7], height=32, width=48)
    # `stills` walks the past of its own plan; the same plan gives the same past.
    assert np.array_equal(seen[0], episode.future[[2, 7]])


def _future(config: OracleConfig) -> np.ndarray:
    return np.stack([e.actions for e in oracle_episodes(config, height=32, width=48)])


def test_bench_prompts_are_distinct_true_and_half_unseen() -> None:
    asked = bench.prompts(240, 6)
    assert len({p.text for p in asked}) > 200
    for prompt in asked:
        for question, fact in prompt.facts.items():
            assert lessons.answer_of(question, fact) >= 0
        hidden = lessons.biome_is_hidden(prompt.facts["time"], prompt.facts["weather"])
        assert ("biome" in prompt.facts) != hidden, "what nobody could see is not asked"
    seen = [p.facts for p in asked if "biome" in p.facts]
    assert {facts["biome"] for facts in seen} == set(lessons.QUESTIONS["biome"])
    pairs = {(facts["biome"], facts["time"]) for facts in seen}
    assert len(pairs) > 40, "facts are drawn apart"
    unseen = {p.facts["time"] for p in asked[1::2]}
    assert unseen == {p.facts["time"] for p in asked[::2]} and len(unseen) == 4


class Teller:
    """A classifier that reads meadow, day and clear off bright pictures, and night off dark."""

    def read(self, pictures: np.ndarray) -> dict[str, np.ndarray]:
        bright = pictures.mean((1, 2, 3)) > 100
        times = np.eye(3)[np.where(bright, 2, 0)]
        rest = {q: np.eye(len(o))[np.zeros(len(pictures), int)]
                for q, o in lessons.QUESTIONS.items()}  # fmt: skip
        return rest | {"time": times}

    def features(self, pictures: np.ndarray) -> np.ndarray:
        return pictures.mean((1, 2))


def test_bench_sees_a_clip_that_goes_dark() -> None:
    rng = np.random.default_rng(0)
    steady = rng.integers(120, 220, (40, 8, 8, 3)).astype(np.uint8)
    fading = (steady * np.linspace(1, 0.1, 40)[:, None, None, None]).astype(np.uint8)
    facts = {q: options[0] for q, options in lessons.QUESTIONS.items()} | {"time": "noon"}
    prompt = bench.Prompt(text="", facts=facts)
    real = Teller().features(steady)
    good, bad = (bench.measure(clip, prompt, Teller(), real) for clip in (steady, fading))
    assert good["text"] == 1 and good["text.drift"] == 0
    assert bad["text.drift"] == pytest.approx(1 / 3)
    assert bad["feature_distance.drift"] > good["feature_distance.drift"] + 1


def test_figures_of_another_pack_are_dropped(tmp_path, capsys) -> None:
    def save(name: str, pack_hash: str) -> dict:
        report = Report(tmp_path)
        report.figure(name, Figure.of([1.0, 2.0]))
        report.note(name, 1)
        return json.loads(report.save(pack_hash=pack_hash).read_text())

    save("first.old", "a")
    save("first.new", "a")
    both = save("second", "a")
    assert set(both["figures"]) == set(both["notes"]) == {"first.new", "second"}
    other = save("third", "b")
    assert set(other["figures"]) == set(other["notes"]) == {"third"}
    assert "figures of another pack" in capsys.readouterr().out


def test_what_is_read_from_the_start_is_no_change(tmp_path) -> None:
    frozen = np.full((60, 4, 4, 3), 200, np.uint8)
    after: Any = prompt_suite._agrees_after
    seconds = [after(Teller(), frozen, "weather", fact, 20)
               for fact in (lessons.QUESTIONS["weather"][0], "rain")]  # fmt: skip
    assert seconds == [0.0, float("inf")]
    bright = frozen.copy()
    bright[:20] = 0
    came = after(Teller(), bright, "time", "noon", 20)
    assert came == (18 + 10) / 20, "from the frame on that ends half a second of agreement"
    report = Report(tmp_path)
    prompt_suite._arrivals(np.array([*seconds, 2.0]), report)
    assert report.notes["prompt.change_read_at_the_start"] == 1
    assert report.figures["prompt.change_arrives"].mean == pytest.approx(0.5)
    assert report.figures["prompt.change_seconds"].mean == 2
    of_all = [(figure.count, figure.clips) for figure in report.figures.values()]
    assert of_all == [(2, 3), (1, 3)], "clips of another pack are drawn beside these"
    prompt_suite._arrivals(np.zeros(2), Report(tmp_path / "none"))


@pytest.mark.parametrize(
    ("changes", "suites", "message"),
    [
        ({"spec": ActionSpec()}, ["prompt", "drift"], "drift .* none; give --suite prompt,latency"),
        ({"layout": "windowed"}, ["action"], "windowed; give --suite drift,prompt,revisit,bench,"),
        ({"fps": 10}, ["fidelity"], "10 frames/s, Wilds 20; give --suite prompt,latency"),
    ],
)
def test_suites_that_a_pack_cannot_play_are_refused_first(
    world, tmp_path, changes, suites, message
) -> None:
    check(world, list(SUITES))
    world.info = replace(world.info, **changes)
    with pytest.raises(ValueError, match=message):
        evaluate(world, suites, tmp_path / "report")
    assert not (tmp_path / "report").exists()
