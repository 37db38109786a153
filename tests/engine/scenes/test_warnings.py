# ruff: noqa: E501 - each message stands on one line, as it is printed
"""Doubts: what can never happen, is never used, is missing, or is beyond the pack."""

import pytest

from engine.scenes.load import check_scene, load_scene
from engine.scenes.packs import PackFacts, pack_facts
from helios_core.actions import ActionSpec, Channel
from helios_core.null_world import NullWorld
from tests.engine.scenes.playing import hold, play, write

CASES = [
    ("phases: {a: {}, b: {}}", "5:20: warning: phases.b: no event goes to this phase"),
    ("timeline: [{at: 1s, load: x}]", "5:27: warning: timeline[1].load: no event saves x"),
    ("timeline: [{at: 9s, every: 1s, until: 3s, title: x}]", "5:12: warning: timeline[1]: it ends before it begins"),
    ("timeline: [{at: 1s, end: true}, {at: 2s, title: x}]", "5:33: warning: timeline[2]: never happens: 1s ends this timeline"),
    ("phases: {a: {timeline: [{at: 1s, go: a}, {at: 2s, title: x}]}}", "5:42: warning: phases.a.timeline[2]: never happens: 1s ends this timeline"),
    ("triggers: [{when: 5s > 2, cooldown: 1s, once: true, title: x}]", "5:19: warning: triggers[1].when: is always true: it fires once, at the start"),
    ("triggers: [{when: brightness > 1, title: x}]", "5:19: warning: triggers[1].when: can never be true"),
    ("triggers: [{when: idle < 0s, title: x}]", "5:19: warning: triggers[1].when: can never be true"),
    ("triggers: [{when: held(e) > 1 and chance(0), title: x}]", "5:19: warning: triggers[1].when: can never be true"),
    ("triggers: [{when: not (distance < 0), title: x}]", "5:19: warning: triggers[1].when: is always true: it fires once, at the start"),
    ("triggers: [{when: 5s < 2, title: x}]", "5:19: warning: triggers[1].when: can never be true"),
    ('macros: {a: "+1s: jump"}', "5:14: warning: macros.a: never used"),
    ("counters: {n: 0}", "5:15: warning: counters.n: no condition reads it"),
    ("flags: {n: true}", "5:12: warning: flags.n: no condition reads it"),
    ("vars: {a: 1}", "5:11: warning: vars.a: never used"),
    ("thumbnail: x.png", "5:12: warning: thumbnail: there is no file x.png"),
    ("timeline: [{at: 1s, sound: x.ogg}]", "5:28: warning: timeline[1].sound: there is no file x.ogg"),
    ("start: {image: assets/none.png}", "5:16: warning: start.image: there is no file assets/none.png"),
    ("timeline: [{at: 1s, screenshot: x, end: true}]", "5:12: warning: timeline[1]: screenshot: the session ends before; do it at an earlier time"),
    ("timeline: [{at: 1s, screenshot: x}, {at: 1s, end: true}]", "5:12: warning: timeline[1]: never happens: 1s ends this timeline"),
    ("pack: null", "5:7: warning: pack: empty, as if it were not there; put a value such as null or #20304f in quotes"),
    ("timeline: [{at: 1s, fade: {to: colour, colour: }}]", "5:47: warning: timeline[1].fade.colour: empty, as if it were not there; put a value such as null or #20304f in quotes"),
    ("triggers: [{when: tapped(p), title: x}]", "5:19: warning: triggers[1].when: 'p' never reaches the scene: it gives pause; ask for another key, or bind pause to one"),
    ("timeline: [{at: 1s, jump: x.yaml}]", "5:27: warning: timeline[1].jump: there is no file x.yaml"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "message"), CASES, ids=[body for body, _ in CASES])
def test_warning(tmp_path, body, message):
    path = write(tmp_path, body + "\n")
    checked = check_scene(path)
    assert checked.file is not None, "a doubt keeps nothing from being played"
    assert [str(problem) for problem in checked.problems] == [f"{path}:{message}"]


@pytest.mark.parametrize(
    "when",
    ["brightness > 0.99", "turned < 0", "chance(0.01)", "crossfade < 1", "time > 9 or idle < 1"],
)
def test_no_warning_for_what_may_happen(tmp_path, when):
    path = write(tmp_path, f"triggers: [{{when: {when}, title: x}}]\n")
    assert check_scene(path).problems == ()


@pytest.mark.parametrize(
    "body",
    [
        "phases: {a: {}, b: {}}\ntimeline: [{at: 1s, go: b}, {at: 2s, title: x}]\n",
        "triggers: [{when: true, cooldown: 10s, title: x}]\n",
        "phases: {a: {timeline: [{at: 1s, title: x}, {at: 1s, go: b}]}, b: {}}\n",
        "timeline: [{at: 1s, record: stop, end: true}]\n",
        "bindings: {channels: {jump: [p]}}\ntriggers: [{when: tapped(p), title: x}]\n",
        "bindings: {commands: {pause: [o]}}\ntriggers: [{when: tapped(p), title: x}]\n",
    ],
    ids=[
        "the scene goes on in the next phase",
        "again and again",
        "at the time of a go",
        "a recording that ends with the scene",
        "a key that the scene takes for a channel",
        "a key that the scene takes from a command",
    ],
)
def test_no_warning_for_what_goes_on(tmp_path, body):
    assert check_scene(write(tmp_path, body)).problems == ()


def test_a_hidden_prompt_that_nothing_names(tmp_path):
    path = tmp_path / "scene.yaml"
    path.write_text("title: x\nprompts: {a: b, hidden: {text: x, menu: false}}\n")
    [problem] = check_scene(path).problems
    assert problem.text.startswith("prompts.hidden: never used")


def test_what_the_pack_lacks(tmp_path):
    spec = ActionSpec(channels=(Channel(name="jump", kind="button"),))
    facts = PackFacts(name="tiny", spec=spec, known_words=frozenset(["a", "meadow", "at", "noon"]))
    body = 'limits: {run: 0}\nmacros: {m: "+1s: strafe, jump"}\ntimeline: [{at: 1s, inject: m}]\n'
    checked = check_scene(write(tmp_path, body), packs=lambda name: facts)
    assert [problem.text for problem in checked.problems] == [
        "prompts.storm: the pack tiny was never taught 'dusk'",
        "prompts.storm: the pack tiny was never taught 'storm'",
        "limits.run: the pack tiny has no channel 'run'",
        "macros.m: the pack tiny has no channel 'strafe'",
    ]


def test_channels_of_the_pack_may_be_named(tmp_path):
    spec = ActionSpec(
        channels=(
            Channel(name="gas", kind="button"),
            Channel(name="look_yaw", kind="axis", low=-500.0, high=500.0, unit="deg/s"),
        )
    )
    body = 'pack: racing\nbindings: {channels: {gas: [w]}}\nmacros: {m: "+1s: look_yaw=400"}\n'
    body += "triggers: [{when: held(gas) > 1, inject: m}]\n"
    path, named = write(tmp_path, body), []

    def packs(name):
        named.append(name)
        return PackFacts(name="racing", spec=spec)

    assert check_scene(path, packs=packs).problems == () and set(named) == {"racing"}
    assert len(check_scene(path).problems) == 3, "only the shared ones without it"
    world = NullWorld(height=24, width=40, spec=spec)
    played = play(load_scene(path, packs=packs), frames=60, world=world, events=hold("w", 0, 2))
    assert played.channel("look_yaw").max() == 400


def test_a_pack_that_is_not_there(tmp_path):
    checked = check_scene(write(tmp_path, "pack: nulll\n"), packs=pack_facts)
    [problem] = checked.problems
    assert problem.line == 5 and "did you mean 'null'?" in problem.text


def test_doubts_about_used_files_are_theirs(tmp_path):
    (tmp_path / "shared.yaml").write_text('macros: {a: "+1s: jump", b: "+1s: run"}\n')
    path = write(tmp_path, "use: [shared.yaml]\ntimeline: [{at: 1s, inject: a}]\n")
    assert check_scene(path).problems == ()


def test_nothing_takes_away_what_a_used_file_gives(tmp_path):
    (tmp_path / "used.yaml").write_text('autopilot: {track: "+1s: jump"}\n')
    checked = check_scene(write(tmp_path, "use: used.yaml\nautopilot: null\n"))
    assert checked.problems == () and checked.file is not None
    assert checked.file.scene.autopilot is None


def test_layers_merge_and_platforms_differ(tmp_path):
    (tmp_path / "base.yaml").write_text("author: base\nhints: [a, b]\nspeed: {walk: 2, run: 3}\n")
    (tmp_path / "more.yaml").write_text("use: base.yaml\nhints: [c]\nspeed: {run: 5}\n")
    body = "use: [more.yaml]\nspeed: {walk: 1}\n"
    body += "platform: {linux: {hud: true, bindings: {channels: {jump: [f]}}}, mac: {hints: [m]}}\n"
    path = write(tmp_path, body)
    linux = check_scene(path, platform="linux").file.scene
    assert (linux.author, linux.hints) == ("base", ("c",))
    assert (linux.speed.walk, linux.speed.run) == (1, 5)
    assert linux.hud is True and linux.bindings.channels == {"jump": ("f",)}
    mac = check_scene(path, platform="mac").file.scene
    assert mac.hud is None and mac.hints == ("m",) and not mac.bindings.channels


def test_variables_keep_their_kind(tmp_path):
    body = "vars: {n: 3, wait: 2s, who: '${vars.wait} of ${vars.n}'}\nseed: ${vars.n}\n"
    body += "author: ${vars.who}\ntimeline: [{at: '${vars.wait}', title: x}]\n"
    file = load_scene(write(tmp_path, body))
    assert file.scene.seed == 3 and file.scene.author == "2s of 3"
    assert play(file, frames=60).events("timeline[1]") == [40]
