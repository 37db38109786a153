"""Importers: each layout becomes the same actions, and what a file lacks is named."""

import json
import pickle
import shutil
from fractions import Fraction

import av
import numpy as np
import pytest

from engine.rollouts.reader import RolloutDataset
from helios_core.actions import WALK_SPEC
from training.clips.importers import gf_minecraft, keyboard_mouse, owl_control
from training.clips.importers.source import ImportConfig, write_clips

FRAMES, FPS = 24, 12


def make_video(path, frames: int = FRAMES, rate: int | Fraction = FPS) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(frames):
            picture = np.full((48, 64, 3), i * 8, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def column(actions: np.ndarray, name: str) -> np.ndarray:
    return actions[:, WALK_SPEC.index(name)]


@pytest.fixture
def keyboard_folder(tmp_path):
    make_video(tmp_path / "a.mp4")
    keyboard = np.zeros((FRAMES, 4), np.float32)
    keyboard[:12, 0] = 1
    keyboard[12:, 2] = 1
    mouse = np.zeros((FRAMES, 2), np.float32)
    mouse[5] = (0.1, -0.2)
    np.save(tmp_path / "a.npy", {"keyboard": keyboard, "mouse": mouse}, allow_pickle=True)
    return tmp_path


def test_keyboard_and_mouse_become_channels(keyboard_folder) -> None:
    (clip,) = keyboard_mouse.find(keyboard_folder)
    assert column(clip.actions, "move_forward").tolist() == [1.0] * 12 + [0.0] * 12
    assert column(clip.actions, "strafe").tolist() == [0.0] * 12 + [-1.0] * 12
    assert column(clip.actions, "look_yaw")[5] == pytest.approx(-0.2 * 15 * FPS)
    assert column(clip.actions, "look_pitch")[5] == pytest.approx(0.1 * 15 * FPS)


def test_imported_clips_are_a_data_set(keyboard_folder, tmp_path) -> None:
    config = ImportConfig(out=str(tmp_path / "out"), height=32, width=48, prompt="a game")
    assert write_clips(keyboard_mouse.find(keyboard_folder), config, layout="x") == FRAMES
    window = RolloutDataset.open(tmp_path / "out").read(0)
    assert window.frames.shape == (FRAMES, 32, 48, 3)
    assert window.frames[20].mean() == pytest.approx(160, abs=6)
    assert set(window.prompts) == {"a game"}


def test_an_import_that_was_stopped_goes_on(keyboard_folder, tmp_path) -> None:
    for name, frames in (("b", 30), ("c", 12)):
        make_video(keyboard_folder / f"{name}.mp4", frames=frames)
        shutil.copy(keyboard_folder / "a.npy", keyboard_folder / f"{name}.npy")
    config = ImportConfig(out=str(tmp_path / "out"), height=32, width=48)
    clips = keyboard_mouse.find(keyboard_folder)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_clips(clips, config, layout="x", progress=stop)
    for new in (24 + 12, 0):
        assert write_clips(clips, config, layout="x") == new
        found = RolloutDataset.open(config.out).episodes
        assert [e.header.extra["video"] for e in found] == ["a.mp4", "b.mp4", "c.mp4"]


class Harm:
    def __reduce__(self):
        return (print, ("harm",))


def test_a_strangers_pickle_runs_no_code(keyboard_folder, capsys) -> None:
    with (keyboard_folder / "a.npy").open("wb") as stream:
        np.lib.format.write_array_header_1_0(
            stream, {"descr": "|O", "fortran_order": False, "shape": ()}
        )
        pickle.dump(Harm(), stream)
    with pytest.raises(ValueError, match=r"wants to run builtins\.print"):
        keyboard_mouse.find(keyboard_folder)
    assert "harm" not in capsys.readouterr().out


PICKLES = {
    "objects from bytes": b"\x80\x03cnumpy\nndarray\n(K\x01\x85cnumpy\ndtype\n"
    b"X\x01\x00\x00\x00O\x85RC\x08AAAAAAAAtR.",
    "a bare function": b"\x80\x03cnumpy\n_reconstruct\n.",
    "no arguments": b"\x80\x03cnumpy\ndtype\n)R.",
    "no such reference": b"\x80\x03h\x05.",
    "a call of nothing": b"\x80\x03R.",
}


@pytest.mark.parametrize("payload", PICKLES.values(), ids=list(PICKLES))
def test_a_crafted_or_broken_pickle_is_refused(keyboard_folder, payload) -> None:
    """numpy's own ndarray would take the bytes for addresses, and the process would die."""
    with (keyboard_folder / "a.npy").open("wb") as stream:
        header = {"descr": "|O", "fortran_order": False, "shape": ()}
        np.lib.format.write_array_header_1_0(stream, header)
        stream.write(payload)
    with pytest.raises(ValueError, match=r"a\.npy"):
        keyboard_mouse.find(keyboard_folder)


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_pickles_of_any_age_are_read(keyboard_folder, protocol) -> None:
    keyboard = np.asfortranarray(np.eye(FRAMES, 6, dtype=np.float64))
    body = {"keyboard": keyboard, "mouse": np.ones((FRAMES, 2), ">f4"), "fps": np.float32(2)}
    with (keyboard_folder / "a.npy").open("wb") as stream:
        header = {"descr": "|O", "fortran_order": False, "shape": ()}
        np.lib.format.write_array_header_1_0(stream, header)
        pickle.dump(np.array(body, dtype=object), stream, protocol=protocol)
    found = keyboard_mouse._read(keyboard_folder / "a.npy")
    assert (found["keyboard"] == keyboard).all() and (found["mouse"] == 1).all()
    assert found["fps"] == 2


def owl_clip(folder, *events: str, rate: int | Fraction = FPS):
    """A session of two seconds that begins at 100 s."""
    make_video(folder / "session" / "video.mp4", rate=rate)
    rows = ["timestamp,event_type,event_args", *events]
    (folder / "session" / "inputs.csv").write_text("\n".join(rows))
    (clip,) = owl_control.find(folder)
    return clip


def test_owl_control_events_become_channels(tmp_path) -> None:
    """A frame is the picture after its action: input shows in the first frame taken after it."""
    clip = owl_clip(
        tmp_path,
        '100.0,START,"[]"',
        '100.25,KEYBOARD,"[87, True]"',
        '100.5,MOUSE_MOVE,"[10, -5]"',
        '101.0,KEYBOARD,"[87, False]"',
        '101.9,END,"[]"',
        '102.5,KEYBOARD,"[83, True]"',
    )
    forward = column(clip.actions, "move_forward")
    assert forward[:4].tolist() == [0.0] * 4
    assert forward[4:13].tolist() == [1.0] * 9
    assert not forward[13:].any()
    assert column(clip.actions, "look_yaw")[7] == pytest.approx(10 * 0.1 * FPS)
    assert column(clip.actions, "look_pitch")[7] == pytest.approx(5 * 0.1 * FPS)


HELD = {
    "a key pressed before the start": (
        ['99.0,KEYBOARD,"[87, True]"', '100.0,START,"[]"', '100.5,KEYBOARD,"[87, False]"'],
        [1.0] * 7 + [0.0] * 17,
    ),
    "a key of which only the release is told": (
        ['100.0,START,"[]"', '100.5,KEYBOARD,"[87, False]"'],
        [1.0] * 7 + [0.0] * 17,
    ),
    "a key tapped while another is held": (
        ['100.0,START,"[]"', '100.0,KEYBOARD,"[87, True]"', '100.5,KEYBOARD,"[83, True]"',
         '100.75,KEYBOARD,"[83, False]"'],
        [0.0] + [1.0] * 6 + [0.0] * 3 + [1.0] * 14,
    ),
    "a tap between two frames": (
        ['100.0,START,"[]"', '100.51,KEYBOARD,"[87, True]"', '100.52,KEYBOARD,"[87, False]"'],
        [0.0] * 7 + [1.0] + [0.0] * 16,
    ),
    "a key that repeats, held to the end": (
        ['100.0,START,"[]"', '100.5,KEYBOARD,"[87, True]"', '100.9,KEYBOARD,"[87, True]"'],
        [0.0] * 7 + [1.0] * 17,
    ),
    "a tap long before the start": (
        ['90.0,KEYBOARD,"[87, True]"', '90.2,KEYBOARD,"[87, False]"', '100.0,START,"[]"'],
        [0.0] * 24,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", HELD)
def test_owl_control_keys_count_while_they_are_held(case, tmp_path) -> None:
    events, forward = HELD[case]
    clip = owl_clip(tmp_path, *events, '101.92,END,"[]"')
    assert column(clip.actions, "move_forward").tolist() == forward


def test_owl_control_keeps_the_exact_rate(tmp_path) -> None:
    """At 2 x 12.5 frames/s, rounded down, an hour would drift by a minute and more."""
    rate = Fraction(25, 2)
    events = ['100.0,START,"[]"', '180.02,KEYBOARD,"[87, True]"', '190.0,END,"[]"']
    forward = column(owl_clip(tmp_path, *events, rate=rate).actions, "move_forward")
    assert forward.argmax() == 1001


def gf_row(**changes) -> dict:
    return {"ws": 0, "ad": 0, "scs": 0, "pitch_delta": 0.0, "yaw_delta": 0.0} | changes


def write_gf(folder, rows: list[dict]) -> None:
    make_video(folder / "video" / "seed_1.mp4")
    (folder / "metadata").mkdir()
    body = {"actions": {str(i): row for i, row in enumerate(rows)}}
    (folder / "metadata" / "seed_1.json").write_text(json.dumps(body))


def test_gf_minecraft_becomes_channels_with_captions(tmp_path) -> None:
    write_gf(tmp_path, [gf_row(ws=1, scs=3, yaw_delta=2.0)] * 12 + [gf_row(ws=2, ad=2)] * 12)
    (tmp_path / "annotation.csv").write_text(
        "Original video name,Prompt\nseed_1.mp4,a plain under a blue sky\n"
    )
    (clip,) = gf_minecraft.find(tmp_path)
    assert clip.caption == "a plain under a blue sky"
    assert column(clip.actions, "run").tolist() == [1.0] * 12 + [0.0] * 12
    assert column(clip.actions, "move_forward").tolist() == [1.0] * 12 + [-1.0] * 12
    assert column(clip.actions, "strafe")[-1] == 1.0
    assert column(clip.actions, "look_yaw")[0] == pytest.approx(2.0 * FPS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ws": 3}, "ws is 3; give 0, 1 or 2"),
        ({"ad": -1}, "ad is -1; give 0, 1 or 2"),
        ({"ws": None}, "ws is None; give a number"),
        ({"scs": None}, "scs is None; give a number"),
        ({"yaw_delta": "left"}, "yaw_delta is 'left'; give a number"),
        (None, "is None; give an object"),
    ],
)
def test_a_frame_that_says_nothing_known_is_named(tmp_path, change, message) -> None:
    write_gf(tmp_path, [gf_row(), None if change is None else gf_row() | change])
    with pytest.raises(ValueError, match=rf"seed_1\.json, frame 1:? {message}"):
        gf_minecraft.find(tmp_path)


def test_what_is_missing_is_named(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"holds no \.mp4"):
        keyboard_mouse.find(tmp_path)
    with pytest.raises(ValueError, match=r"holds no inputs\.csv"):
        owl_control.find(tmp_path)
    make_video(tmp_path / "b.mp4")
    with pytest.raises(ValueError, match=r"b\.npy is missing"):
        keyboard_mouse.find(tmp_path)
    write_gf(tmp_path, [{"ws": 1}])
    with pytest.raises(ValueError, match=r"frame 0 lacks 'ad'"):
        gf_minecraft.find(tmp_path)
    (tmp_path / "video" / "seed_1.mp4").unlink()
    with pytest.raises(ValueError, match=r"seed_1\.mp4 is missing"):
        gf_minecraft.find(tmp_path)
