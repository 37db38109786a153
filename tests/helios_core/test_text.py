"""The small text encoder: fixed shapes, typos land near, words reported, order matters."""

import pytest
import torch

from helios_core.text.api import report_words, words_of
from helios_core.text.small import (
    SmallTextConfig,
    SmallTextEncoder,
    letter_groups,
    misspell,
    vocabulary_of,
)

VOCABULARY = vocabulary_of(["A meadow at noon.", "Snow falls over the desert's dunes"])


@pytest.fixture
def encoder() -> SmallTextEncoder:
    torch.manual_seed(0)
    config = SmallTextConfig(text_dim=24, width=32, layers=2, heads=2, max_words=7)
    return SmallTextEncoder(config).eval()


@torch.no_grad()
def test_hidden_states_have_a_fixed_length_and_are_zero_past_the_words(encoder):
    hidden, mask = encoder.encode(["", "a meadow", "one two three four five six seven eight"])
    assert hidden.shape == (3, 8, 24) and mask.sum(1).tolist() == [1, 3, 8]
    assert hidden[~mask].abs().max() == 0
    assert (hidden[mask].abs().amax(1) > 0).all()


@torch.no_grad()
def test_a_prompt_encodes_the_same_in_any_company(encoder):
    alone, _ = encoder.encode(["a meadow"])
    beside, _ = encoder.encode(["a longer prompt with unconventionally long words", "a meadow"])
    torch.testing.assert_close(beside[1:], alone)


@torch.no_grad()
def test_case_and_punctuation_do_not_matter_but_order_does(encoder):
    one, two, three = encoder.encode(["A meadow, noon!", "a meadow noon", "a noon meadow"])[0]
    assert torch.equal(one, two)
    assert (one - three).abs().max() > 0.01


@torch.no_grad()
def test_a_mistyped_word_lands_near_the_right_one():
    torch.manual_seed(0)
    encoder = SmallTextEncoder(SmallTextConfig(width=256, layers=0))

    def direction(word: str) -> torch.Tensor:
        rows, _ = encoder.tokenize([word])
        vector = (encoder.groups(rows) * (rows > 0).unsqueeze(-1)).sum(2)[0, 0]
        return vector / vector.norm()

    for typo, word in [("medow", "meadow"), ("dessert", "desert"), ("montain", "mountain")]:
        others = ("noon", "river", "forest", "winter")
        assert direction(typo) @ direction(word) > 0.3
        assert direction(typo) @ direction(word) > 0.2 + max(
            direction(typo) @ direction(other) for other in others
        )


def test_hashing_never_changes():
    assert letter_groups("sea", 4096, 4)[:3] == (3814, 3792, 2981)
    assert min(letter_groups("sea", 4, 4)) >= 1 and max(letter_groups("sea", 4, 4)) <= 3


def test_words_are_reported_with_their_place_and_the_nearest_known():
    rows = report_words("A medow, zebra noon", VOCABULARY)
    assert [(r.word, r.known, r.suggestion) for r in rows] == [
        ("A", True, None),
        ("medow", False, "meadow"),
        ("zebra", False, None),
        ("noon", True, None),
    ]
    assert rows[1].span == (2, 7)
    assert all(r.known for r in report_words("anything goes", None))


def test_vocabulary_and_words():
    assert (
        "desert's" in VOCABULARY
        and "A" not in VOCABULARY
        and list(VOCABULARY) == sorted(VOCABULARY)
    )
    assert words_of("Señor's 2 snow_drops…") == ["señor's", "2", "snow", "drops"]


def test_misspelling_changes_words_repeatably_and_keeps_their_number():
    text = "snow falls over the desert at noon and on the mountain"
    once = misspell(text, torch.Generator().manual_seed(3), 0.5)
    assert once == misspell(text, torch.Generator().manual_seed(3), 0.5)
    assert once != text and len(once.split()) == len(text.split())
    assert misspell(text, torch.Generator().manual_seed(3), 0.0) == text


def test_it_trains(encoder):
    hidden, _ = encoder.encode(["a meadow"])
    hidden.square().sum().backward()
    missing = [n for n, p in encoder.named_parameters() if p.grad is None]
    assert not missing


@pytest.mark.parametrize("changes", [{"heads": 3}, {"max_words": 0}, {"buckets": 1}])
def test_bad_configs_are_refused(changes):
    with pytest.raises(ValueError):
        SmallTextConfig(**changes)


def test_trained_with_mistakes_it_understands_mistakes():
    """Biome and time are read off prompts, half of whose long words are mistyped."""
    biomes = ("meadow", "desert", "forest", "mountain", "coast", "swamp")
    times = ("morning", "noon", "evening", "midnight")
    phrases = ("a {} at {}", "{} in the {}", "walking through a {} by {}", "{}, {} light")
    captions = [
        (phrase.format(biome, time), i, j)
        for phrase in phrases
        for i, biome in enumerate(biomes)
        for j, time in enumerate(times)
    ]
    torch.manual_seed(0)
    rng = torch.Generator().manual_seed(1)
    encoder = SmallTextEncoder(SmallTextConfig(text_dim=32, width=64, layers=1, max_words=9))
    heads = torch.nn.Linear(32, len(biomes) + len(times))
    optimizer = torch.optim.AdamW([*encoder.parameters(), *heads.parameters()], 3e-3)

    def scores(rows, rate: float) -> tuple[torch.Tensor, torch.Tensor]:
        hidden, _ = encoder.encode([misspell(text, rng, rate) for text, _, _ in rows])
        parts = heads(hidden[:, 0]).split((len(biomes), len(times)), 1)
        truth = torch.tensor([row[1:] for row in rows])
        loss = sum(
            torch.nn.functional.cross_entropy(p, t)
            for p, t in zip(parts, truth.unbind(1), strict=True)
        )
        right = torch.stack([p.argmax(1) for p in parts], 1) == truth
        return loss, right.float().mean()

    for _ in range(120):
        picked = torch.randint(len(captions), (32,), generator=rng).tolist()
        loss, _ = scores([captions[i] for i in picked], 0.3)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        assert scores(captions, 0.0)[1] > 0.98
        assert scores(captions, 0.5)[1] > 0.9


def test_hidden_states_keep_their_size_whatever_training_does() -> None:
    """Free to shrink, they did: after an hour every prompt gave the DiT the same nothing."""
    encoder = SmallTextEncoder(SmallTextConfig(text_dim=32, width=32, layers=1))
    with torch.no_grad():
        encoder.leave.weight.mul_(1e-2)
        encoder.leave.bias.mul_(1e-2)
    hidden, mask = encoder.encode(["a meadow at noon", "snow"])
    assert hidden[mask].std(1).sub(1).abs().max() < 0.2
    assert hidden[~mask].abs().max() == 0
