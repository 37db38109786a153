"""Is a pack whole: every tensor there, and the same bits as when the pack was made."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from helios_core.packs import manifest as manifests
from helios_core.packs.manifest import MODULES, Manifest
from helios_core.packs.modules import base_of, module_files
from helios_core.packs.tensors import FileStore, hash_tensors
from helios_core.packs.view_files import read_views

SMALL = 256 * 2**20
"""Packs up to so many bytes are verified whenever they are loaded."""


def size_of(folder: Path, manifest: Manifest) -> int:
    """Bytes of a pack's own weights; a missing file counts nothing here."""
    files = [path for name in MODULES for path in module_files(folder, manifest, name)]
    return sum(path.stat().st_size for path in files if path.is_file())


def verify(folder: Path, *, progress: Callable[[int, int], None] | None = None) -> int:
    """Compare every tensor with its hash, and views with theirs; returns how many tensors.
    `progress` hears (done, total)."""
    manifest = manifests.read(folder)
    if manifest.views is not None:
        read_views(folder, manifest)
    return verify_tensors(folder, manifest, progress=progress)


def verify_small(folder: Path, manifest: Manifest) -> None:
    """What is done before a pack is played or learned from: large ones would take minutes."""
    if size_of(folder, manifest) <= SMALL:
        verify_tensors(folder, manifest)


def verify_tensors(
    folder: Path, manifest: Manifest, *, progress: Callable[[int, int], None] | None = None
) -> int:
    """Compare the tensors alone, those of a base too: who plays a pack reads its views anyway."""
    chain = [(folder, manifest)]
    while (above := chain[0][1]).base is not None:
        base = base_of(chain[0][0], above)
        chain.insert(0, (base, manifests.read(base)))
    listed = [manifests.read_hashes(place) for place, _ in chain]
    total, count = sum(len(names) for hashes in listed for names in hashes.values()), 0
    for (place, found), hashes in zip(chain, listed, strict=True):
        for module in MODULES:
            for _ in _verified(place, found, module, hashes.get(module, {})):
                count += 1
                if progress is not None:
                    progress(count, total)
    return count


def _verified(
    folder: Path, manifest: Manifest, module: str, wanted: Mapping[str, str]
) -> Iterator[str]:
    """The names of a module's tensors as they are found whole; a ValueError at what is not."""
    store = FileStore(module_files(folder, manifest, module))
    differing = set(store.entries) ^ set(wanted)
    if differing:
        raise ValueError(f"{folder}: {module} and {manifests.HASHES} disagree on {differing}")
    for name, digest in hash_tensors(store):
        if digest != wanted[name]:
            raise ValueError(
                f"{folder}: the tensor {name} of {module} is damaged (its hash is another); "
                "fetch or export the pack again"
            )
        yield name
