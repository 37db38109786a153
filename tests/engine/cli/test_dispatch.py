"""The dispatcher: lazy, with clear sentences and the promised exit codes."""

import os
import subprocess
import sys
import types

import pytest

from engine import cli


def command(monkeypatch: pytest.MonkeyPatch, run: object) -> None:
    module = types.ModuleType("fake")
    module.EXAMPLE = "helios fake"  # type: ignore[attr-defined]
    module.add_arguments = lambda parser: None  # type: ignore[attr-defined]
    module.run = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "fake", module)
    monkeypatch.setitem(cli.COMMANDS, "fake", ("fake", "a fake"))


def raising(error: BaseException):
    def run(args: object) -> int:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (ValueError("the seed must be a number"), 2, "helios fake: the seed must be a number"),
        (FileNotFoundError(2, "No such file or directory", "a.txt"), 2, "a.txt: no such file or"),
        (KeyboardInterrupt(), 130, ""),
        (ModuleNotFoundError("x", name="diffusers.models"), 2, "helios-engine[wan]"),
    ],
)
def test_an_error_becomes_a_sentence_and_a_code(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    error: BaseException,
    code: int,
    sentence: str,
) -> None:
    command(monkeypatch, raising(error))
    assert cli.main(["fake"]) == code
    assert sentence in capsys.readouterr().err


def test_an_unknown_command_lists_the_known_ones(capsys: pytest.CaptureFixture) -> None:
    assert cli.main(["frobnicate"]) == 2
    printed = capsys.readouterr()
    assert "no command 'frobnicate'" in printed.err and "play" in printed.err


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from engine.cli import main; main(['--help']); "
        "heavy = {'torch', 'pygame', 'av', 'numpy', 'omegaconf'} & set(sys.modules); "
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


@pytest.mark.parametrize(
    ("asked", "code"), [("--help", 141), ("play --help", 0), ("packs list", 141)]
)
def test_a_reader_who_leaves_early_is_no_error(asked: str, code: int) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "engine", *asked.split()]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert done.returncode == code and not done.stderr


def test_doctor_says_a_mistyped_kernel_at_once(monkeypatch, capsys):
    from engine.cli import main

    monkeypatch.setenv("HELIOS_KERNELS", "foo")
    assert main(["doctor"]) == 2
    said = capsys.readouterr()
    assert "HELIOS_KERNELS = 'foo': give one of" in said.err and not said.out
