"""Hot reload: a good save takes over, a bad one is named and the old scene goes on."""

import os

from engine.director import Caption
from engine.scenes import live
from engine.scenes.live import LiveDirector
from engine.scenes.load import load_scene
from tests.engine.scenes.playing import HEAD, play, small_world, write

BODY = "counters: {n: 5}\ntimeline: [{at: 2s, caption: old}]\nphases: {a: {}, b: {}}\n"


class Editing:
    """A live scene, its file, and play in steps that keep the world."""

    def __init__(self, tmp_path, body: str = BODY) -> None:
        self.path = write(tmp_path, body)
        self.changes: list = []
        self.file = load_scene(self.path)
        self.director = LiveDirector(
            self.file, small_world().info, on_change=lambda file: self.changes.append(file)
        )
        self.stamp = 1_000_000_000

    def save(self, text: str, name: str = "scene.yaml") -> None:
        path = self.path.with_name(name)
        path.write_text(text, encoding="utf-8")
        self.stamp += 1_000_000_000  # a clock of our own: a save within one tick must be seen too
        os.utime(path, ns=(self.stamp, self.stamp))

    def play(self, frames: int = 4, **options):
        return play(self.file, frames=frames, director=self.director, **options)


def captions(played) -> list[tuple[str, str]]:
    return [(c.text, c.style) for _, c in played.effects(Caption)]


def test_a_good_save_takes_over_and_keeps_the_moment(tmp_path):
    editing = Editing(tmp_path)
    editing.play(20)
    before = editing.director.snapshot()
    editing.save(HEAD + BODY.replace("old", "new") + "flags: {f: true}\n")
    played = editing.play(40)
    assert captions(played) == [("scene.yaml taken over", "plain"), ("new", "plain")]
    after = editing.director.snapshot()
    assert after["frame"] == before["frame"] + 40
    assert after["variables"] == {"n": 5.0, "f": True}
    assert [file.scene.flags for file in editing.changes] == [{"f": True}]


def test_a_bad_save_is_named_with_its_line_and_the_old_scene_goes_on(tmp_path):
    editing = Editing(tmp_path)
    editing.save(HEAD + BODY.replace("at: 2s", "at: 2 bananas").replace("n: 5", "n: x"))
    played = editing.play(60)
    assert captions(played) == [
        ("scene.yaml:5:15: counters.n: expected a number, not 'x' (and 1 more)", "warning"),
        ("old", "plain"),
    ]
    assert editing.changes == []
    editing.save(HEAD + BODY)
    assert captions(editing.play()) == [("scene.yaml taken over", "plain")]


def test_the_prompt_in_force_crossfades_to_its_new_text(tmp_path):
    editing = Editing(tmp_path)
    editing.save(HEAD.replace("a meadow at noon", "a meadow at dusk") + BODY)
    played = editing.play(40)
    assert played.prompts == [(0, "a meadow at dusk", None)], "once"


def test_a_prompt_takes_its_new_text_also_where_a_rewind_goes_back_to_the_old_one(tmp_path):
    editing = Editing(tmp_path)
    editing.save(HEAD.replace("a meadow at noon", "a meadow at dusk") + BODY)
    editing.play()
    editing.save(HEAD.replace("a meadow at noon", "a meadow at dawn") + BODY)
    editing.play()
    for _ in range(2):  # `play` begins the world anew with the first text, as a reset does
        assert editing.play().prompts == [(0, "a meadow at dawn", None)]


def test_a_reset_after_an_edit_begins_with_the_new_counters(tmp_path):
    editing = Editing(tmp_path)
    start = editing.director.snapshot()
    editing.play(20)
    editing.save(HEAD + BODY.replace("n: 5", "n: 7"))
    editing.play()
    assert editing.director.snapshot()["variables"] == {"n": 5.0}, "under way it stays"
    editing.director.restore(start)
    assert editing.director.snapshot()["variables"] == {"n": 7.0}


def test_what_counts_at_the_start_only_is_said_to_wait(tmp_path):
    editing = Editing(tmp_path)
    editing.save(HEAD + BODY + "seed: 9\nstart: storm\nauthor: me\n")
    [(text, style)] = captions(editing.play())
    assert text == "scene.yaml taken over; seed, start when it is played anew" and style == "plain"


def test_the_phase_stays_while_it_exists(tmp_path):
    editing = Editing(tmp_path, "timeline: [{at: 0s, go: b}]\n" + "phases: {a: {}, b: {}}\n")
    editing.play(20)
    editing.save(HEAD + "phases: {a: {}, b: {limits: {jump: 0}}, c: {}}\n")
    assert not editing.play(8, script="0-7: jump").channel("jump").any()
    assert editing.director.snapshot()["phase"] == "b"
    editing.save(HEAD + "phases: {c: {enter: {caption: c}}}\n")
    assert ("c", "plain") in captions(editing.play(8))


def test_counters_keep_their_values_and_lose_them_with_their_kind(tmp_path):
    editing = Editing(tmp_path, "counters: {a: 1, b: 2}\ntimeline: [{at: 0s, set: {a: 7, b: 8}}]\n")
    editing.play()
    editing.save(HEAD + "counters: {a: 1, c: 3}\nflags: {b: true}\n")
    editing.play()
    assert editing.director.snapshot()["variables"] == {"a": 7.0, "c": 3.0, "b": True}


def test_used_files_are_followed_too(tmp_path):
    shared = tmp_path / "shared.yaml"
    shared.write_text("author: one\n")
    editing = Editing(tmp_path, "use: shared.yaml\n")
    shared.write_text("author: another\n")
    editing.play()
    assert editing.director.file.scene.author == "another"


def test_a_file_that_is_gone_for_a_moment_is_an_error_and_then_taken_over(tmp_path):
    editing = Editing(tmp_path)
    editing.path.unlink()
    [(text, style)] = captions(editing.play())
    assert text.startswith("scene.yaml:1:1: cannot be read") and style == "warning"
    editing.save(HEAD)
    assert captions(editing.play()) == [("scene.yaml taken over", "plain")]


def test_a_scene_that_this_world_cannot_play_does_not_take_over(tmp_path):
    editing = Editing(tmp_path)
    editing.save(HEAD + 'macros: {a: "+1s: attack"}\ntimeline: [{at: 1s, inject: a}]\n')
    [(text, style)] = captions(editing.play())
    assert text == "scene.yaml: macro a needs attack, which the pack null lacks"
    assert style == "warning" and editing.director.file.scene.macros == {}


def test_a_scene_that_is_refused_elsewhere_does_not_take_over(tmp_path):
    editing = Editing(tmp_path)

    def refuse(file):
        raise ValueError("your bindings: no")

    editing.director = live.LiveDirector(editing.file, small_world().info, on_change=refuse)
    editing.save(HEAD + BODY + "author: me\n")
    assert captions(editing.play()) == [("scene.yaml: your bindings: no", "warning")]
    assert editing.director.file is editing.file


def test_a_mistake_in_a_newly_used_file_is_mended_there(tmp_path):
    editing = Editing(tmp_path)
    editing.save(HEAD + "use: extra.yaml\n")
    [(text, _)] = captions(editing.play())
    assert "extra.yaml cannot be read" in text
    editing.save("author: [\n", "extra.yaml")
    [(text, _)] = captions(editing.play())
    assert text.startswith("extra.yaml:2:1: this is not YAML")
    editing.save("author: me\n", "extra.yaml")
    assert captions(editing.play()) == [("scene.yaml taken over", "plain")]
    assert editing.director.file.scene.author == "me"


def test_a_save_during_the_reading_is_read_too(tmp_path, monkeypatch):
    editing, check = Editing(tmp_path), live.check_scene

    def slow(path, **options):
        checked = check(path, **options)
        monkeypatch.setattr(live, "check_scene", check)
        editing.save(HEAD + "author: me\n")
        return checked

    monkeypatch.setattr(live, "check_scene", slow)
    editing.save(HEAD + "seed: half a fi")
    assert [style for _, style in captions(editing.play(8))] == ["warning", "plain"]
    assert editing.director.file.scene.author == "me"


def test_nothing_is_read_while_nothing_changes(tmp_path, monkeypatch):
    editing = Editing(tmp_path)
    monkeypatch.setattr("engine.scenes.live.check_scene", None)
    editing.play(40)
