"""Is what is installed fit to run together: checked at start, before a strange error would come.

Both distributions of pygame own the same folder, and a distribution called `kernels` owns the
name of one of our packages. A module that turns out to be missing is named with its remedy. Not
here: looking for what is missing beforehand (engine.cli.doctor).
"""

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

_EXTRAS = {
    "diffusers": "wan",
    "transformers": "wan",
    "accelerate": "wan",
    "ftfy": "wan",
    "pyarrow": "research",
    "gymnasium": "research",
    "matplotlib": "research",
    "minari": "research",
    "h5py": "research",
    "vizdoom": "games",
    "ale_py": "games",
    "ray": "ray",
    "rerun": "rerun",
}
"""The extra that brings a module."""


def missing_module(error: ModuleNotFoundError) -> str:
    """What to install, for the person in front of it."""
    extra = _EXTRAS.get((error.name or "").split(".")[0])
    if extra is None:
        return f"the module {error.name} is missing; reinstall helios-engine"
    return (
        f"this needs {error.name}, which comes with the extra {extra!r}: "
        f"pip install 'helios-engine[{extra}]'"
    )


def installed_version(distribution: str) -> str | None:
    """Version of an installed distribution, or None."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def check_installation(find: Callable[[str], str | None] = installed_version) -> None:
    """Raise a ValueError with the command that mends what clashes."""
    classic, community = find("pygame"), find("pygame-ce")
    if classic is not None and community is not None:
        raise ValueError(
            f"both pygame {classic} and pygame-ce {community} are installed, and they overwrite "
            "each other; run: pip uninstall -y pygame pygame-ce && pip install pygame-ce"
        )
    if find("kernels") is not None:
        raise ValueError(
            "a distribution called `kernels` is installed, which hides this project's package of "
            "that name; run: pip uninstall -y kernels (or use a virtual environment of its own)"
        )


def load_compiler() -> None:
    """Load Triton, where there is one, before a window loads a graphics driver.

    Both bring an LLVM. Triton's crashes the process if the driver's came first, and torch imports
    Triton by itself with its first model.
    """
    if find_spec("triton") is not None:
        import_module("triton")
