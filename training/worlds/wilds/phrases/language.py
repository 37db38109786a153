"""One set of phrasings: of every fact, of every event, and the sentences around them.

A sentence holds slots in braces; {Slot} is the same phrase with a capital. It is used only if every
fact it names is known, so most sentences say part of what is true.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

Table = dict[str, tuple[str, ...]]
SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, kw_only=True)
class Language:
    """One set of phrasings."""

    biome: Table
    time: Table
    weather: Table
    landmark: Table
    side: Table
    extra: Table
    sentences: tuple[str, ...]
    events: Table
    fillers: tuple[str, ...] = ()
    """Words that say nothing of all this."""

    def tables(self) -> tuple[Table, ...]:
        """All that lists phrases by what they say."""
        slots = (self.biome, self.time, self.weather, self.landmark, self.side, self.extra)
        return (*slots, self.events)

    def texts(self) -> Iterator[str]:
        """Every phrase, sentence and filler."""
        for table in self.tables():
            for options in table.values():
                yield from options
        yield from (SLOT.sub("", sentence) for sentence in self.sentences)
        yield from self.fillers
