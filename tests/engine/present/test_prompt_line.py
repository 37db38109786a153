"""The prompt line's editing, history and suggestions, without a window."""

from hypothesis import given
from hypothesis import strategies as st

from engine.present.prompt_line import HISTORY, LONGEST, PromptLine, Submitted, unknown_words

KNOWN = frozenset({"snow", "falls", "a", "river", "castle", "the"})


def typed(text: str, **options) -> PromptLine:
    line = PromptLine(**options)
    line.insert(text)
    return line


def keys(line: PromptLine, *names: str, ctrl: bool = False):
    answer = None
    for name in names:
        answer = line.key(name, ctrl=ctrl)
    return answer


def test_a_line_that_is_drawn_again_looks_for_near_words_once(monkeypatch):
    from engine.present import prompt_line

    asked = []
    search = prompt_line.get_close_matches

    def counted(word, *rest, **options):
        asked.append(word)
        return search(word, *rest, **options)

    monkeypatch.setattr(prompt_line, "get_close_matches", counted)
    line = typed("snov fallz", known=KNOWN)
    for _ in range(5):
        assert [word.suggestion for word in line.unknown] == ["snow", "falls"]
    assert asked == ["snov", "fallz"]
    assert typed("snov", known=frozenset({"snore"})).unknown[0].suggestion == "snore"


def test_editing_in_the_middle():
    line = typed("snow fals")
    keys(line, "left")
    line.insert("l")
    assert line.text == "snow falls"
    keys(line, "home", "delete", "end", "backspace")
    assert line.text == "now fall"
    keys(line, "left", ctrl=True)
    assert line.caret == 4
    keys(line, "backspace", ctrl=True)
    assert line.text == "fall"
    keys(line, "right", ctrl=True)
    keys(line, "u", ctrl=True)
    assert line.text == ""
    assert keys(line, "left", "right", "backspace", "delete", "up", "down", "tab") is None


def test_history_goes_back_and_forth_and_keeps_the_draft():
    line = PromptLine(history=("one", "two"))
    line.insert("dra")
    keys(line, "up")
    assert line.text == "two"
    keys(line, "up", "up", "up")
    assert line.text == "one"
    keys(line, "down", "down", "down")
    assert line.text == "dra"


def test_submitting_tidies_remembers_once_and_empty_is_nothing():
    line = typed("  snow   falls ")
    assert keys(line, "return") == Submitted("snow falls")
    line.open()
    line.insert("snow falls")
    assert keys(line, "enter") == Submitted("snow falls")
    assert line.history == ["snow falls"]
    line.open()
    assert keys(line, "return") == Submitted("")
    assert typed("x").key("escape") == Submitted("")


def test_the_history_file_is_bounded_and_survives(tmp_path):
    file = tmp_path / "deep" / "prompts.txt"
    for i in range(HISTORY + 5):
        line = typed(f"line {i}", history_file=file)
        keys(line, "return")
    again = PromptLine(history_file=file)
    assert len(again.history) == HISTORY
    assert again.history[-1] == f"line {HISTORY + 4}"


def test_two_windows_remember_in_one_file(tmp_path):
    file = tmp_path / "prompts.txt"
    one, two = PromptLine(history_file=file), PromptLine(history_file=file)
    for line, text in ((one, "snow"), (two, "rain"), (one, "fog")):
        line.open()
        line.insert(text)
        keys(line, "return")
    assert one.history == ["snow", "fog"], "a window's own are the nearest"
    assert PromptLine(history_file=file).history == ["snow", "rain", "fog"]


def test_lines_of_a_damaged_history_can_be_shown(tmp_path):
    file = tmp_path / "prompts.txt"
    file.write_bytes(b"a \0\xff river\n" + b"\0" * 9 + b"\n" + b"x" * 700)
    line = PromptLine(history_file=file)
    assert line.history == ["a  \ufffd river", "x" * LONGEST]
    keys(line, "up")
    line.insert("y" * 700)
    assert line.text == "x" * LONGEST


def test_pasted_text_is_one_line_of_bounded_length():
    line = typed("a\nriver\tand\x00more")
    assert line.text == "a river and more"
    line.insert("x" * 2000)
    assert len(line.text) == LONGEST


def test_unknown_words_and_their_suggestions():
    found = unknown_words("The snwo falls, a CASTLE 12 zzqy", KNOWN)
    assert [(w.start, w.end, w.suggestion) for w in found] == [(4, 8, "snow"), (28, 32, "")]
    assert unknown_words("anything at all", None) == []
    assert unknown_words("castle-river river's", KNOWN | {"s"}) == []


def test_tab_takes_the_first_offer_and_keeps_the_rest():
    line = typed("zzqy snwo falls", known=KNOWN)
    keys(line, "tab")
    assert line.text == "zzqy snow falls"
    keys(line, "tab")
    assert line.text == "zzqy snow falls"


def test_an_input_method_has_the_keys_while_it_composes():
    line = typed("a")
    line.compose("せ")
    assert keys(line, "return", "backspace", "left") is None
    assert line.text == "a"
    line.insert("雪")
    assert keys(line, "return") == Submitted("a雪")


EDITS = st.sampled_from(
    ["left", "right", "home", "end", "backspace", "delete", "up", "down", "tab", "a", "u"]
)


@given(st.lists(st.one_of(EDITS, st.text(max_size=4)), max_size=40), st.booleans())
def test_the_caret_stays_in_the_line_whatever_is_pressed(actions, ctrl):
    line = PromptLine(known=KNOWN, history=("snow", "a river"))
    for action in actions:
        if action in EDITS.elements:
            line.key(action, ctrl=ctrl)
        else:
            line.insert(action)
        assert 0 <= line.caret <= len(line.text)
        assert len(line.text) <= LONGEST
        assert all(0 <= w.start < w.end <= len(line.text) for w in line.unknown)
