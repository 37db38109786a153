"""The words of captions: phrasings of every fact, of every event, and the sentences around them.

Two disjoint sets: `TRAINING` is what clips are captioned with; `HELD_OUT` says the same things in
words and sentences that no clip is captioned with, for evaluation. Data only.

A sentence holds slots in braces; {Slot} is the same phrase with a capital. It is used only if every
fact it names is known, so most sentences say part of what is true.
"""

from dataclasses import dataclass

Table = dict[str, tuple[str, ...]]


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


TRAINING = Language(
    biome={
        "meadow": ("a green meadow", "grassy fields", "a flowering meadow", "rolling grassland"),
        "forest": ("a forest", "deep green woods", "a forest of firs", "shady woodland"),
        "desert": ("a desert", "sand dunes", "a sandy desert", "golden dunes"),
        "canyon": ("a red canyon", "a canyon of red rock", "stepped red cliffs", "canyon country"),
        "snow mountains": (
            "snowy mountains",
            "white peaks",
            "high mountains under snow",
            "a snowy mountain valley",
        ),
        "tundra": ("the tundra", "a bare tundra", "cold barren plains", "a wide stony tundra"),
        "swamp": ("a swamp", "a misty swamp", "a murky marsh", "wetlands with willows"),
        "beach": ("a sandy beach", "the seaside", "a palm beach", "a tropical shore"),
        "volcanic land": (
            "a volcanic land",
            "black volcanic rock",
            "a land of lava and ash",
            "volcano slopes",
        ),
        "crystal plain": (
            "an alien crystal plain",
            "a violet plain of crystals",
            "a strange crystal world",
            "glowing crystal fields",
        ),
        "autumn hills": (
            "autumn hills",
            "hills in fall colours",
            "an orange autumn landscape",
            "red and gold hills",
        ),
        "ruined city": (
            "a ruined city",
            "the ruins of a city",
            "an abandoned city",
            "crumbling high-rises",
        ),
    },
    time={
        "dawn": ("at dawn", "at sunrise", "in the early morning light", "as the sun comes up"),
        "morning": ("in the morning", "on a fresh morning", "in morning light"),
        "noon": ("at noon", "at midday", "in the middle of the day"),
        "afternoon": ("in the afternoon", "in warm afternoon light", "late in the day"),
        "dusk": ("at dusk", "at sunset", "in the evening", "in the golden hour"),
        "night": ("at night", "by night", "in the dark of night", "after dark"),
    },
    weather={
        "clear": ("under a clear sky", "in clear weather", "in fine weather"),
        "cloudy": ("under a cloudy sky", "in cloudy weather", "under grey clouds"),
        "fog": ("in thick fog", "in the fog", "lost in fog"),
        "rain": ("in the rain", "in rainy weather", "while rain falls"),
        "snow": ("in falling snow", "in snowy weather", "while it snows"),
        "storm": ("in a thunderstorm", "in a storm with lightning", "in stormy weather"),
        "aurora": ("under northern lights", "beneath an aurora", "under a green aurora"),
    },
    landmark={
        "tower": ("a stone tower", "an old tower", "a watchtower"),
        "arch": ("a natural arch", "a rock arch", "an arch of stone"),
        "pyramid": ("a pyramid", "a stone pyramid", "a great pyramid"),
        "lighthouse": ("a lighthouse", "a red and white lighthouse", "a striped lighthouse"),
        "campfire": ("a campfire", "a small camp with a fireplace", "a ring of logs for a fire"),
        "giant mushroom": ("a giant mushroom", "a huge red mushroom", "an enormous toadstool"),
        "ring of stones": (
            "a ring of standing stones",
            "a stone circle",
            "ancient standing stones",
        ),
        "floating rock": ("a floating rock", "a floating island", "a rock hovering in the air"),
    },
    side={
        "left": ("to the left", "on the left", "on the left side"),
        "right": ("to the right", "on the right", "on the right side"),
        "ahead": ("ahead", "straight ahead", "in front"),
    },
    extra={
        "water": ("water", "a lake", "still water that mirrors the sky"),
        "lava": ("glowing lava", "a pool of lava"),
        "moon": ("the moon", "a bright moon"),
        "sun": ("the sun", "the low sun"),
        "fire": ("a burning fire", "flames"),
        "snow_lies": ("snow on the ground", "a blanket of snow"),
    },
    sentences=(
        "{biome}",
        "{biome} {time}",
        "{biome} {weather}",
        "{biome} {time} {weather}",
        "{biome} {weather} {time}",
        "{time}, {biome}",
        "{weather}, {biome}",
        "{Biome} {time}, {weather}.",
        "{Biome}, {weather}.",
        "{Time}, walking through {biome}.",
        "Walking through {biome} {time}.",
        "Walking through {biome} {weather}.",
        "A walk across {biome} {time} {weather}.",
        "First-person view of {biome}.",
        "First-person view of {biome} {time}.",
        "First-person view of {biome} {weather}.",
        "A view over {biome} {time}, {weather}.",
        "We are in {biome} {time}.",
        "We wander through {biome} {weather}.",
        "You see {biome} {time} {weather}.",
        "Exploring {biome}, {time}, {weather}.",
        "The scene shows {biome} {time}.",
        "This is {biome} {weather}.",
        "A quiet landscape: {biome} {time}.",
        "{Weather}, {time}, there is {biome}.",
        "{Time} {weather}.",
        "{time}",
        "{weather}",
        "{landmark}",
        "{landmark} in {biome}",
        "{Landmark} stands {side}.",
        "{landmark} {side}, {biome}",
        "{Landmark} {time}.",
        "{Landmark} in {biome} {time}.",
        "{Landmark} in {biome} {weather}.",
        "{Landmark} in {biome} {time} {weather}.",
        "{Biome} with {landmark} {side}.",
        "{Biome} {time}, with {landmark} {side}.",
        "There is {landmark} {side}, {weather}.",
        "Walking towards {landmark} in {biome}.",
        "You can see {landmark} {side} {time}.",
        "{Biome} {weather}; {landmark} rises {side}.",
        "{Biome} and {extra}.",
        "{Biome} with {extra} {time}.",
        "{Extra} in {biome} {weather}.",
        "{extra} {time}",
        "{Time}, {biome}, {extra} and {landmark}.",
        "A first-person walk {time}: {biome}, {weather}.",
    ),
    events={
        "rain starts": (
            "it starts to rain",
            "rain begins to fall",
            "make it rain",
            "a shower begins",
        ),
        "snow starts": ("it starts to snow", "snow begins to fall", "make it snow", "snow sets in"),
        "fog rises": ("fog rises", "fog rolls in", "a thick fog comes up", "make it foggy"),
        "storm breaks": (
            "a thunderstorm breaks",
            "a storm with lightning begins",
            "a storm comes up",
            "lightning flashes and rain pours",
        ),
        "clouds gather": ("clouds gather", "the sky clouds over", "grey clouds move in"),
        "sky clears": (
            "the sky clears",
            "the weather clears up",
            "the clouds go away",
            "make it sunny",
        ),
        "aurora appears": (
            "an aurora appears",
            "northern lights appear in the sky",
            "green lights dance in the night sky",
        ),
        "day breaks": ("the sun rises", "day breaks", "morning comes"),
        "noon comes": ("the sun climbs to noon", "it becomes midday", "bright noon comes"),
        "sun sets": ("the sun sets", "evening comes", "the day ends in a sunset"),
        "night falls": ("night falls", "it gets dark", "darkness comes"),
        "moon rises": ("the moon rises", "the moon comes up in a clear night"),
        "day passes": (
            "a whole day passes",
            "a day goes by",
            "time races through a day and a night",
        ),
        "campfire is lit": ("the campfire is lit", "someone lights the campfire", "light the fire"),
        "campfire goes out": ("the campfire goes out", "the fire dies down", "put out the fire"),
    },
)

HELD_OUT = Language(
    biome={
        "meadow": ("lush pasture", "a prairie of tall grass"),
        "forest": ("a thicket of evergreens", "the timberland"),
        "desert": ("an arid sea of sand", "a parched wasteland of sand"),
        "canyon": ("a gorge of rust-coloured stone", "red mesas"),
        "snow mountains": ("an icy alpine range", "frozen summits"),
        "tundra": ("a treeless arctic plain", "a bleak northern steppe"),
        "swamp": ("a foggy bog", "a bayou"),
        "beach": ("the coast", "a strand with palm trees"),
        "volcanic land": ("a scorched basalt field", "a smouldering volcano"),
        "crystal plain": ("an extraterrestrial field of gems", "an otherworldly crystal garden"),
        "autumn hills": ("a countryside in October", "hillsides with turning leaves"),
        "ruined city": ("a deserted downtown", "a post-apocalyptic town"),
    },
    time={
        "dawn": ("at daybreak", "at first light"),
        "morning": ("before noon", "on a young day"),
        "noon": ("with the sun overhead", "at twelve o'clock"),
        "afternoon": ("a few hours past noon", "on a mellow afternoon"),
        "dusk": ("in the twilight", "at sundown"),
        "night": ("at midnight", "under the night sky"),
    },
    weather={
        "clear": ("with a cloudless sky", "on a bright day"),
        "cloudy": ("under an overcast sky", "on a dull grey day"),
        "fog": ("wrapped in mist", "with hardly anything to see for the fog"),
        "rain": ("on a wet day", "in a downpour"),
        "snow": ("in a flurry of snowflakes", "on a snowy day"),
        "storm": ("with thunder and lightning", "in a raging tempest"),
        "aurora": ("with polar lights overhead", "with glowing green curtains in the sky"),
    },
    landmark={
        "tower": ("a keep", "a castle tower"),
        "arch": ("a stone gateway", "a bridge of natural rock"),
        "pyramid": ("an Egyptian pyramid", "a pyramid of sandstone"),
        "lighthouse": ("a beacon by the sea", "a lighthouse with red stripes"),
        "campfire": ("a fireplace in the wild", "a camp site"),
        "giant mushroom": ("a tree-sized toadstool", "a colossal mushroom"),
        "ring of stones": ("megaliths in a circle", "a little Stonehenge"),
        "floating rock": ("an island in the sky", "a levitating boulder"),
    },
    side={
        "left": ("off to the left", "at the left edge"),
        "right": ("off to the right", "at the right edge"),
        "ahead": ("in the centre", "right before us"),
    },
    extra={
        "water": ("a pond", "a calm expanse of water"),
        "lava": ("molten rock",),
        "moon": ("a full moon",),
        "sun": ("a shining sun",),
        "fire": ("a blazing fire",),
        "snow_lies": ("snow-covered ground",),
    },
    sentences=(
        "Imagine {biome} {time}.",
        "A traveller crosses {biome} {weather}.",
        "A game world: {biome}, {time}, {weather}.",
        "Everything around is {biome}, {weather}.",
        "Take me to {biome} {time}.",
        "{Landmark} can be made out {side}.",
        "Somewhere in {biome} one finds {landmark}.",
        "{Time} the eye rests on {landmark} and {biome}.",
        "What a sight: {biome} with {extra}.",
        "Show {biome} {weather} and {landmark} {side}.",
    ),
    events={
        "rain starts": ("drops begin to fall from the sky", "now let it pour"),
        "snow starts": ("the first flakes come down", "let winter begin"),
        "fog rises": ("everything vanishes in the mist", "a haze creeps over the land"),
        "storm breaks": ("thunder rolls and the sky flares", "a tempest bursts loose"),
        "clouds gather": ("it becomes overcast", "the blue above disappears"),
        "sky clears": ("the blue sky returns", "let the weather be fair"),
        "aurora appears": ("polar lights flicker up", "the heavens glow green"),
        "day breaks": ("a new day begins", "let there be daylight"),
        "noon comes": ("the clock strikes twelve at noon", "the sun stands at its highest"),
        "sun sets": ("twilight comes", "the sun goes down"),
        "night falls": ("the light fades to black night", "midnight arrives"),
        "moon rises": ("a full moon climbs the sky",),
        "day passes": ("twenty-four hours fly past",),
        "campfire is lit": ("flames leap up at the camp", "start a fire at the camp"),
        "campfire goes out": ("only embers remain of the fire", "extinguish the flames"),
    },
)
