"""Replay: identical frames, a changed log that is caught, counterfactuals, the command."""

from dataclasses import replace

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.cli import main
from engine.recording import source_of
from engine.rollouts.counterfactual import Change, branch, open_writer, side_by_side, variations
from engine.rollouts.edits import Edit, read_actions, read_edits
from engine.rollouts.layout import Layout
from engine.rollouts.reader import RolloutDataset
from engine.rollouts.record import PlanRecord, frame_hashes
from engine.rollouts.replay import replay, verify
from engine.rollouts.writer import RolloutWriter
from helios_core.null_world import NullWorld
from helios_core.packs import load_world
from tests.engine.rollouts.scenes import CHUNK, record_dataset, small_spec, small_world, walk


def record(root, world, *, chunks=6, cut_at=None, last_shown=CHUNK, first_shown=0, state=True):
    """An episode with a prompt change, and perhaps a cut and partly shown chunks."""
    begun = world.start(seed=7, prompt="a meadow")
    with RolloutWriter.open(root, small_spec(world, source=source_of(world))) as writer:
        writer.begin_episode(
            prompt="a meadow", seed=7, state=world.save_state(begun) if state else None
        )
        now = begun
        for k, actions in enumerate(walk(world, chunks, seed=1)):
            plan = PlanRecord(crossfade=2 if k == 2 else None)
            if k == cut_at:
                now, plan = world.cut(now, keep_last=1), replace(plan, cut=(False, 1))
                now, plan = world.reanchor(now), replace(plan, reanchor=True)
            now, frames = world.advance(now, actions, "snow" if k == 2 else None, crossfade=2)
            shown = range(first_shown if k == 0 else 0, last_shown if k == chunks - 1 else CHUNK)
            if len(shown) < CHUNK:
                plan = replace(plan, actions=tuple(tuple(map(float, row)) for row in actions))
            rows = slice(shown.start, shown.stop)
            writer.write(
                frames[rows], actions[rows], actions[rows], prompt=now.prompt.text, chunk=k,
                prompt_weight=now.prompt.weight, plan=plan, offsets=list(shown),
            )  # fmt: skip
    assert not writer.error
    return RolloutDataset.open(root)


@pytest.mark.parametrize(
    "how",
    [{}, {"cut_at": 3}, {"last_shown": 1}, {"first_shown": 2}, {"state": False}],
    ids=["plain", "cut and anchor", "last chunk cut short", "begun inside a chunk", "no state"],
)
def test_a_replay_is_identical(tmp_path, how):
    world = small_world()
    result = verify(world, record(tmp_path / "a", world, **how), 0)
    assert result.identical and result.comparable
    hidden = CHUNK - how.get("last_shown", CHUNK) + how.get("first_shown", 0)
    assert result.frames == 6 * CHUNK - hidden


def test_a_changed_action_is_caught(tmp_path):
    world = small_world()
    record(tmp_path / "a", world)
    _change_action(tmp_path / "a", frame=9)
    result = verify(world, RolloutDataset.open(tmp_path / "a"), 0)
    assert result.first_difference == 9 and result.comparable and not result.identical


def _change_action(root, *, frame):
    """Alter one logged action of one frame in the published file."""
    path = Layout(root).data(0)
    table = pq.read_table(path)
    values = np.array(table["action"].combine_chunks().flatten()).reshape(len(table), -1)
    values[frame, 2] *= -1
    column = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])
    place = table.schema.get_field_index("action")
    pq.write_table(table.set_column(place, table.schema.field(place), column), path)


def test_another_fingerprint_is_compared_by_psnr(tmp_path):
    world = small_world()
    data = record(tmp_path / "a", world)
    other = small_world()
    other.info = replace(other.info, fingerprint={**other.info.fingerprint, "device": "abacus"})
    result = verify(other, data, 0)
    assert result.fingerprint == {"device": ("cpu", "abacus")} and not result.comparable
    assert 15 < result.psnr < 60


def test_another_pack_is_refused(tmp_path):
    data = record(tmp_path / "a", small_world())
    with pytest.raises(ValueError, match="was recorded in null"):
        verify(small_world(height=64), data, 0)


def test_a_hole_in_the_log_is_refused(tmp_path):
    world = small_world()
    none = world.info.spec.zeros(CHUNK)
    _, frames = world.advance(world.start(seed=0), none)
    with RolloutWriter.open(tmp_path / "a", small_spec(world)) as writer:
        writer.begin_episode(prompt="", seed=0)
        for chunk in (0, 2):
            writer.write(frames, none, none, prompt="", chunk=chunk)
    with pytest.raises(ValueError, match="never presented"):
        verify(world, RolloutDataset.open(tmp_path / "a"), 0)


def test_a_batched_log_replays_at_its_batch_and_row(tmp_path):
    """A world whose frames tell the batch and the row that made them."""

    class Batched(NullWorld):
        def generate_batch(self, states, actions, prompts, *, crossfade=None):
            after, chunks = super().generate_batch(states, actions, prompts, crossfade=crossfade)
            return after, [(chunk, len(states), row) for row, chunk in enumerate(chunks)]

        def decode_batch(self, states, latents):
            made = [(self.decode(s, c), n, r) for s, (c, n, r) in zip(states, latents, strict=True)]
            return np.stack([frames // 2 + 10 * n + r for frames, n, r in made])

    world = Batched(height=32, width=48)
    state, actions = world.start(seed=0), walk(world, 1, seed=0)[0]
    states, latents = world.generate_batch([state] * 3, [actions] * 3, [None] * 3)
    frames = world.decode_batch(states, latents)[2]
    with RolloutWriter.open(tmp_path / "a", small_spec(world)) as writer:
        writer.begin_episode(prompt="", seed=0)
        plan = PlanRecord(batch=(3, 2))
        writer.write(frames, actions, actions, prompt="", chunk=0, plan=plan)
    [chunk] = replay(world, RolloutDataset.open(tmp_path / "a"), 0)
    assert not chunk.differing.any()


def test_a_counterfactual_changes_what_follows_and_names_its_parent(tmp_path):
    world = small_world()
    data = record(tmp_path / "a", world)
    edits = (Edit(first=9, end=14, actions={"look_yaw": 240.0}), Edit(first=16, prompt="lava"))
    change = Change(frame=9, edits=edits, facts={"why": "test"})
    with open_writer(tmp_path / "a", data, world) as writer:
        made = branch(world, data, 0, change=change, writer=writer)
    assert made.first == 8 and made.frames.shape == made.parent_frames.shape
    after = RolloutDataset.open(tmp_path / "a")
    child = after.episodes[made.episode]
    assert child.header.parent == (0, 7) and child.header.extra == {"why": "test"}
    window, parent = after.read(made.episode), after.read(0, 8)
    assert (window.applied[1:6, 2] == 240.0).all()
    np.testing.assert_array_equal(window.applied[6:], parent.applied[6:])
    np.testing.assert_array_equal(window.applied[:, :2], parent.applied[:, :2])
    assert window.prompts[7] == "snow" and set(window.prompts[8:]) == {"lava"}
    assert frame_hashes(made.frames)[0] == after.columns(0)["frame.hash"][8], "before the edit"
    assert frame_hashes(made.frames)[1] != after.columns(0)["frame.hash"][9], "after it"
    assert verify(world, after, made.episode).identical, "a counterfactual replays too"


def test_no_change_gives_the_parent_again(tmp_path):
    world = small_world()
    data = record(tmp_path / "a", world, last_shown=2)
    with open_writer(tmp_path / "b", data, world) as writer:
        branch(world, data, 0, change=Change(frame=13), writer=writer)
    other = RolloutDataset.open(tmp_path / "b")
    mine, theirs = other.columns(0)["frame.hash"], data.columns(0)["frame.hash"]
    np.testing.assert_array_equal(mine, theirs[12:])
    link = other.episodes[0].header.extra["parent"]
    assert (link["episode"], link["frame"]) == (0, 11)
    assert verify(world, other, 0).identical


@pytest.mark.parametrize("vary", ["seed", "action"])
def test_variations_differ_from_each_other(tmp_path, vary):
    world = small_world()
    data = record(tmp_path / "a", world)
    changes = variations(data, 0, frame=8, count=3, vary=vary)
    with open_writer(tmp_path / "a", data, world) as writer:
        made = [branch(world, data, 0, change=c, writer=writer) for c in changes]
    hashes = {tuple(frame_hashes(m.frames)) for m in made}
    assert len(hashes) == 3
    side_by_side(tmp_path / "all.mp4", [made[0].parent_frames, *(m.frames for m in made)], fps=20)
    with av.open(str(tmp_path / "all.mp4")) as film:
        assert film.streams.video[0].width == 4 * 48 + 3 * 4
        assert sum(1 for _ in film.decode(video=0)) == 4 * CHUNK


def test_edit_files_say_what_is_wrong(tmp_path):
    path = tmp_path / "edits.yaml"
    path.write_text("- from: 4\n  to: 9\n  actions: {strafe: 1}\n  prompt: snow\n")
    assert read_edits(path) == [Edit(first=4, end=9, actions={"strafe": 1.0}, prompt="snow")]
    for text, message in (
        ("- from: 4\n  turn: 3", "edit 1: unknown turn"),
        ("- to: 4", "wants `from: FRAME`"),
        ("- from: 4\n  to: 4", "changes nothing"),
        ("{", "not YAML"),
        ("- from: soon", "edit 1"),
        ("- from: 4\n  prompt: 5", "edit 1: prompt 5 is no text"),
        ("- from: 4\n  crossfade: abc", "edit 1: crossfade 'abc' is no number of chunks"),
        ("- from: 4\n  crossfade: 0", "edit 1: crossfade 0 is no number of chunks"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            read_edits(path)


def test_action_files_are_read_by_channel_name(tmp_path):
    spec = small_world().info.spec
    (tmp_path / "a.csv").write_text("look_yaw,jump\n30,0\n-30,1\n")
    values = read_actions(tmp_path / "a.csv", spec)
    np.testing.assert_array_equal(values, spec.build(2, look_yaw=[30, -30], jump=[0, 1]))
    np.save(tmp_path / "a.npy", values)
    np.testing.assert_array_equal(read_actions(tmp_path / "a.npy", spec), values)
    (tmp_path / "b.csv").write_text("look_yow\n1\n")
    with pytest.raises(ValueError, match="did you mean 'look_yaw'"):
        read_actions(tmp_path / "b.csv", spec)
    for row, message in (
        ("30", "c.csv:3: 1 values under 2 channels"),
        ("30,0,1", "c.csv:3: 3 values under 2 channels"),
        ("30,x", "c.csv:3: could not convert"),
    ):
        (tmp_path / "c.csv").write_text(f"look_yaw,jump\n30,0\n{row}\n")
        with pytest.raises(ValueError, match=message):
            read_actions(tmp_path / "c.csv", spec)


def test_the_command_verifies_and_fails_on_a_changed_log(tmp_path, capsys):
    root = tmp_path / "a"
    record(root, load_world("null"), chunks=3)
    assert main(["replay", str(root), "--verify"]) == 0
    assert "12 frames, all identical" in capsys.readouterr().out
    _change_action(root, frame=5)
    assert main(["replay", str(root), "--verify"]) == 1
    assert "the first is 5" in capsys.readouterr().out


def test_the_command_makes_a_counterfactual_with_its_video(tmp_path, capsys):
    root = tmp_path / "a"
    record(root, load_world("null"), chunks=3)
    (tmp_path / "e.yaml").write_text("- from: 4\n  actions: {move_forward: 1}\n")
    video = tmp_path / "both.mp4"
    assert (
        main(["replay", str(root), "--edit", str(tmp_path / "e.yaml"), "--video", str(video)]) == 0
    )
    assert "recorded episode 1" in capsys.readouterr().out and video.stat().st_size > 1000
    assert RolloutDataset.open(root).episodes[1].header.parent == (0, 3)
    assert main(["replay", str(root), "--episode", "9", "--verify"]) == 2
    assert "no episode 9" in capsys.readouterr().err


def test_a_recording_with_columns_of_its_own_is_branched_into_another_folder(tmp_path, capsys):
    root = tmp_path / "a"
    record_dataset(root, [2])
    assert main(["replay", str(root), "--branch", "1"]) == 2
    assert "record it in another folder, with --out" in capsys.readouterr().err


def test_arguments_are_checked_before_an_episode_is_added(tmp_path, capsys):
    root = tmp_path / "a"
    record(root, load_world("null"), chunks=3)
    for arguments, sentence in (
        (["--branch", "1", "--video", str(tmp_path / "x.avi")], "videos are written as .mp4"),
        (["--branch", "-1"], "--branch -1: ask for at least 1"),
        (["--branch", "1", "--vary", "action", "--from", "12"], "frame 12 is not in episode 0"),
        (["--from", "4"], "--from says where a change begins"),
    ):
        assert main(["replay", str(root), *arguments]) == 2
        error = capsys.readouterr().err
        assert sentence in error and error.count("\n") == 1
    assert len(RolloutDataset.open(root).episodes) == 1
