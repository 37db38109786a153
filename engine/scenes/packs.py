"""What a check needs to know of a pack, without loading any weights."""

from dataclasses import dataclass

from helios_core.actions import WALK_SPEC, ActionSpec


@dataclass(frozen=True, kw_only=True)
class PackFacts:
    """What a pack can be told."""

    name: str
    spec: ActionSpec
    known_words: frozenset[str] | None = None
    """None when it takes any language."""


def pack_facts(name: str | None) -> PackFacts | None:
    """From the manifest; None for no name. A pack that is not there is a ValueError."""
    if not name:
        return None
    if name in ("null", "random"):
        return PackFacts(name=name, spec=WALK_SPEC)
    from helios_core.packs.find import find
    from helios_core.packs.manifest import read

    manifest = read(find(name))
    words = manifest.text_encoder.config.get("vocabulary") or None
    return PackFacts(
        name=manifest.name,
        spec=manifest.spec,
        known_words=frozenset(words) if words else None,
    )
