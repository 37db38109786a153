"""The words of captions, in two sets that share no phrase and no sentence.

`TRAINING` is what clips are captioned with and encoders are taught; it is wide, for a world reads
only what it was taught. `HELD_OUT` says the same things otherwise, for evaluation: it was there
first, and who wrote the wide lists had not seen it; a phrase that was in both left `TRAINING`.
"""

from training.worlds.wilds.phrases.happenings import EVENTS
from training.worlds.wilds.phrases.held_out import HELD_OUT
from training.worlds.wilds.phrases.language import SLOT, Language, Table
from training.worlds.wilds.phrases.moments import TIME, WEATHER
from training.worlds.wilds.phrases.places import BIOME
from training.worlds.wilds.phrases.sentences import FILLERS, SENTENCES
from training.worlds.wilds.phrases.things import EXTRA, LANDMARK, SIDE

__all__ = ["HELD_OUT", "SLOT", "TRAINING", "Language", "Table"]

TRAINING = Language(
    biome=BIOME,
    time=TIME,
    weather=WEATHER,
    landmark=LANDMARK,
    side=SIDE,
    extra=EXTRA,
    sentences=SENTENCES,
    events=EVENTS,
    fillers=FILLERS,
)
