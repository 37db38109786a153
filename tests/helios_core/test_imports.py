"""Our `kernels` package beside libraries that probe that name; imports that must stay cheap.

transformers and diffusers look for a package called `kernels` and read its version. They have to
work from a checkout and from an installed wheel.
"""

import os
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROBE = """
import kernels, kernels.norm, transformers, diffusers
from transformers import UMT5EncoderModel
from diffusers import AutoencoderKLWan, HeliosTransformer3DModel
print(kernels.__file__)
"""


def run(code: str, cwd: Path, *, path: str = "") -> str:
    env = {**os.environ, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, env=env, capture_output=True, text=True, timeout=240
    )
    assert result.returncode == 0, result.stderr[-2000:]
    return result.stdout.strip().splitlines()[-1]


def test_kernels_stays_empty_and_without_a_version():
    assert (ROOT / "kernels" / "__init__.py").read_text() == ""


def test_the_version_stays_out_of_the_range_that_libraries_trip_over():
    import tomllib

    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    major, minor = map(int, version.split(".")[:2])
    assert major == 0 and minor < 18


def test_transformers_and_diffusers_import_from_the_checkout():
    pytest.importorskip("diffusers")
    pytest.importorskip("transformers")
    assert Path(run(PROBE, ROOT)) == ROOT / "kernels" / "__init__.py"


@pytest.mark.full
def test_transformers_and_diffusers_import_beside_the_installed_wheel(tmp_path):
    pytest.importorskip("diffusers")
    # With hatchling at hand no network is needed; else the build fetches it for itself.
    isolation = ["--no-isolation"] if find_spec("hatchling") else []
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", *isolation, "--outdir", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=240,
    )
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    found = run(PROBE, tmp_path, path=str(site))
    assert Path(found) == site / "kernels" / "__init__.py"
    names = zipfile.ZipFile(wheel).namelist()
    assert any(name.startswith("helios_core/packs/") for name in names)
    assert not any(name.startswith("tests/") for name in names)


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("helios_core.packs", ("torch", "yaml", "diffusers")),
        ("helios_core.null_world", ("torch",)),
        ("engine.cli.packs", ("torch", "pygame")),
        ("engine.cli.doctor", ("torch", "pygame")),
        ("engine.device", ("torch", "pygame")),
        ("helios_core.world", ("pygame", "diffusers", "transformers", "av", "pyarrow")),
        ("helios_core.packs.build", ("pygame", "diffusers", "transformers", "engine", "training")),
    ],
)
def test_imports_stay_light(module, heavy):
    found = run(f"import sys, {module}; print([m for m in {heavy!r} if m in sys.modules])", ROOT)
    assert found == "[]"
