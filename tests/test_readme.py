"""The README keeps its promises: all snippets are there, its commands are CI's.

That each snippet is its example, letter by letter, is tested beside the examples.
"""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
SNIPPETS = re.findall(r"```python\n# (engine/examples/\w+\.py).*?\n(.*?)```", README, re.DOTALL)


def test_all_four_snippets_are_there() -> None:
    names = {Path(name).stem for name, _ in SNIPPETS}
    assert names == {"library", "log", "replay", "env"}


def test_the_test_command_is_what_ci_runs() -> None:
    setup, run = ((ROOT / ".ci" / name).read_text() for name in ("setup.sh", "run"))
    assert "pip install -e '.[test]' && pytest -n 2" in README
    assert "-e '.[test]'" in setup and "\npytest -n 2" in run


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert links
    for link in links:
        assert (ROOT / link).exists(), link
