"""Mutated scene files: problems with places, or a scene that plays; never a traceback, a hang, or
a look at a file outside the scene's folder."""

import builtins
import copy
import gc
import io
import os
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.director import LatchContext
from engine.scenes.director import SceneDirector
from engine.scenes.draw import timeline_sheet
from engine.scenes.load import check_scene
from engine.scenes.source import MAX_BYTES
from tests.engine.scenes.playing import HEAD, small_world
from tests.engine.scenes.wrong_files import WRONG

DEMOS = Path(__file__).resolve().parents[3] / "demos"
SEEDS = [path.read_text(encoding="utf-8") for path in sorted(DEMOS.glob("*.yaml"))]
EXPRESSIONS = [
    "idle > 5s",
    "not (time < 1)",
    "chance(0.5)",
    "held(e) / 0",
    "laps + " * 70,
    "(" * 99,
]
NASTY = [
    *[
        ": ",
        "- ",
        "{",
        "}",
        "[",
        "]",
        "&a ",
        "*a",
        "!!python/name:os.system ",
        "<<: ",
        "? ",
        "| ",
        "> ",
    ],
    *[
        "---\n",
        "...\n",
        "\t",
        "\x00",
        "\ufeff",
        "\u2028",
        "%YAML 1.1\n",
        '"',
        "'",
        "#",
        "\\",
        "\r\n",
    ],
    *[
        "${vars.a}",
        "${oc.env:HOME}",
        "${oc.decode:x}",
        "${",
        "${vars.",
        "???",
        "${.}",
        "${..title}",
    ],
    *["/etc/passwd", "../../x", "file:///etc/passwd", "assets/../../x", "~", "C:\\x"],
    *["use: /etc/passwd\n", "use: [../a.yaml, scene.yaml, _common.yaml]\n", "jump: ../x.yaml"],
    *[
        "1e999",
        "-0",
        "nan",
        ".inf",
        "9" * 400,
        "0x10",
        "1_000",
        "12:30:00",
        "2020-01-01",
        "no",
        "~",
    ],
    *["99999999999999999999s", "0.0000001s", "frame 99999999999999", "1h1m1s1ms1f", "-1s"],
    *["prompts: {}\n", "timeline: []\n", "phases: {a: {}}\n", "triggers: [{when: true, go: a}]\n"],
    *EXPRESSIONS,
]
OPEN = builtins.open
WRONG_TEXTS = [body[1:] if body.startswith("%") else HEAD + body for _, body, _ in WRONG]
DAMAGE = st.tuples(
    st.floats(0, 1, exclude_max=True),
    st.sampled_from(["delete", "replace", "key", "swap", "insert"]),
    st.one_of(
        st.sampled_from(NASTY),
        st.sampled_from(["5s", "0s", "1f", "meadow", "storm", "jump", "look_yaw", "start", "none"]),
        st.integers(-3, 10**10),
        st.floats(),
        st.booleans(),
        st.none(),
        st.just([]),
        st.just({}),
    ),
)
MUTATION = st.tuples(
    st.sampled_from(["insert", "delete", "double", "swap", "replace", "indent", "splice"]),
    st.integers(0, 10_000),
    st.integers(1, 40),
    st.one_of(st.sampled_from(NASTY), st.text(max_size=12)),
)


@st.composite
def mutated(draw) -> str:
    """A demo or a wrong file with some damage: to its text, or to the data in it."""
    text = draw(st.sampled_from(SEEDS + WRONG_TEXTS))
    if draw(st.booleans()):
        data = yaml.safe_load(draw(st.sampled_from(SEEDS)))
        for choice, action, extra in draw(st.lists(DAMAGE, min_size=1, max_size=3)):
            damage(data, choice, action, extra)
        text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
    else:
        for kind, where, size, extra in draw(st.lists(MUTATION, min_size=1, max_size=2)):
            text = mutate(text, kind, where, size, extra)
    return text[: MAX_BYTES + 10]


def damage(data: Any, choice: float, action: str, extra: Any) -> None:
    """Change one place of the data, the same one for the same choice."""
    holders = [data]
    for holder in holders:
        values = holder.values() if isinstance(holder, dict) else holder
        holders += [value for value in values if isinstance(value, dict | list)]
    spots = [(h, k) for h in holders for k in (h if isinstance(h, dict) else range(len(h)))]
    if not spots:
        return
    holder, key = spots[int(choice * len(spots)) % len(spots)]
    if action == "delete":
        del holder[key]
    elif action == "replace":
        holder[key] = extra
    elif action == "key" and isinstance(holder, dict):
        holder[str(extra)] = holder.pop(key)
    elif action == "swap":
        other, place = spots[int(choice * 7919) % len(spots)]
        holder[key], other[place] = copy.deepcopy(other[place]), copy.deepcopy(holder[key])
    elif isinstance(holder[key], str):
        holder[key] = mutate(holder[key], "insert", int(choice * 997), 1, str(extra))


def mutate(text: str, kind: str, where: int, size: int, extra: str) -> str:
    at = where % (len(text) + 1)
    if kind == "insert":
        return text[:at] + extra + text[at:]
    if kind == "delete":
        return text[:at] + text[at + size :]
    if kind == "double":
        return text[:at] + text[at : at + size] * 2 + text[at + size :]
    if kind == "replace":
        return text[:at] + extra + text[at + size :]
    lines = text.split("\n")
    row = where % len(lines)
    if kind == "swap":
        other = (row + size) % len(lines)
        lines[row], lines[other] = lines[other], lines[row]
    elif kind == "indent":
        lines[row] = " " * (size % 7) + lines[row].lstrip()
    else:
        lines[row:row] = lines[row : row + size]
    return "\n".join(lines)


@pytest.fixture
def guarded(tmp_path, monkeypatch):
    """A scene folder, and an alarm for every file that is opened or listed outside it."""
    gc.collect()  # other tests' temporary folders are listed when they go: now, not later
    (tmp_path / "_common.yaml").write_bytes((DEMOS / "_common.yaml").read_bytes())
    seen: list[str] = []

    def watch(module, name):
        real = getattr(module, name)

        def call(path, *args, **kwargs):
            if not isinstance(path, int):
                seen.append(os.path.realpath(path))
            return real(path, *args, **kwargs)

        return call

    check_scene(tmp_path / "_common.yaml")  # imports what is imported late
    spy = watch(builtins, "open")
    monkeypatch.setattr(builtins, "open", spy)
    monkeypatch.setattr(io, "open", spy)
    for name in ("open", "listdir", "scandir", "system", "popen"):
        monkeypatch.setattr(os, name, watch(os, name))
    return tmp_path, seen


def survive(folder: Path, seen: list[str], text: str) -> None:
    path = folder / "scene.yaml"
    with OPEN(path, "w", encoding="utf-8", newline="", errors="surrogatepass") as stream:
        stream.write(text)
    seen.clear()
    started = time.process_time()
    checked = check_scene(path)
    if checked.file is None:
        assert checked.problems
    else:
        timeline_sheet(checked.file.scene, 20)
        play_a_little(checked.file)
    outside = [name for name in seen if not name.startswith(f"{folder}{os.sep}")]
    assert not outside, outside
    lines = text.count("\n") + text.count("\r") + 2 + 10 * (text.count("\u2028") + 1)
    for problem in checked.problems:
        assert problem.text and "\n" not in problem.text and problem.column >= 1
        assert 1 <= problem.line <= max(lines, 40)
    assert time.process_time() - started < 20, "hangs"


def play_a_little(file) -> None:
    """A few latches, which must not fail whatever the scene says, unless the world lacks it."""
    world = small_world()
    try:
        director = SceneDirector(file, world.info)
    except ValueError as error:
        assert "lacks" in str(error)
        return
    state = world.start(seed=file.scene.seed, prompt=file.scene.first_prompt.text)
    last = None
    for chunk in range(6):
        context = LatchContext(
            chunk=chunk,
            first_frame=chunk * 4,
            fps=20,
            requested=world.info.spec.zeros(4),
            last_frames=lambda shown=last: shown,
            pressed=frozenset(),
            tapped=frozenset({"e", "q"} if chunk == 3 else ()),
            idle_frames=4 * chunk + 4,
            typed_prompt=None,
            state=state,
        )
        plan = director.latch(context)
        director.restore(director.snapshot())
        state, last = world.advance(state, plan.applied, plan.prompt, crossfade=plan.crossfade)


QUIET = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    "print_blob": True,
}


@settings(max_examples=300, derandomize=True, database=None, **QUIET)
@given(text=mutated())
def test_300_mutated_files(guarded, text):
    survive(*guarded, text)


@pytest.mark.full
@pytest.mark.timeout(3600)
@settings(max_examples=5000, database=None, **QUIET)
@given(text=mutated())
def test_5000_mutated_files(guarded, text):
    survive(*guarded, text)


def test_the_alarm_rings(guarded):
    _, seen = guarded
    with open("/etc/passwd") as stream:
        stream.read(1)
    assert "/etc/passwd" in seen
