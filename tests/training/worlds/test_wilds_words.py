"""Facts, captions, events, policies, episodes and the Gymnasium face of Wilds."""

import re
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from training.worlds.wilds import (
    biomes,
    captions,
    episodes,
    events,
    objects,
    phrases,
    policies,
    weather,
)
from training.worlds.wilds.spec import FORWARD, JUMP, PITCH, RUN, SPEC, STRAFE, YAW
from training.worlds.wilds.world import Wilds, WildsConfig


def _tables(language):
    return (language.biome, language.time, language.weather, language.landmark, language.side)


def test_the_grammar_is_rich_and_held_out_phrasings_are_apart():
    assert len(phrases.TRAINING.sentences) >= 40
    assert not set(phrases.TRAINING.sentences) & set(phrases.HELD_OUT.sentences)
    for ours, theirs in zip(_tables(phrases.TRAINING), _tables(phrases.HELD_OUT), strict=True):
        assert set(ours) == set(theirs)
        for name in ours:
            assert len(ours[name]) >= 3 and len(theirs[name]) >= 2
            assert not set(ours[name]) & set(theirs[name])
    assert set(phrases.TRAINING.events) == set(phrases.HELD_OUT.events) == set(events.EVENTS)


def test_every_phrase_belongs_to_one_fact():
    for language in (phrases.TRAINING, phrases.HELD_OUT):
        for table in _tables(language):
            said = [phrase for options in table.values() for phrase in options]
            assert len(said) == len(set(said))


@cache
def _pattern(said: tuple[str, ...]) -> re.Pattern[str]:
    """Any of the phrases, the longest one that fits."""
    longest = sorted(said, key=len, reverse=True)
    return re.compile("|".join(rf"\b{re.escape(p.lower())}\b" for p in longest))


def _claims(text: str, table: dict[str, tuple[str, ...]], beside=()) -> set[str]:
    """Facts of a table that a text states, outside of phrases of the tables `beside` it: a misty
    swamp may lie in clear weather."""
    rest = text.lower()
    for other in beside:
        rest = _pattern(tuple(p for row in other.values() for p in row)).sub("#", rest)
    owner = {p.lower(): fact for fact, row in table.items() for p in row}
    return {owner[found] for found in _pattern(tuple(owner)).findall(rest)}


@pytest.mark.parametrize("language", [phrases.TRAINING, phrases.HELD_OUT])
def test_captions_state_true_facts(language):
    wilds, rng = Wilds(list(range(80)), 16, 24), np.random.default_rng(0)
    spoken = 0
    for facts in wilds.facts():
        for _ in range(12):
            text = captions.caption(facts, rng, language)
            assert text and "{" not in text
            assert _claims(text, language.biome) <= {facts["biome"]}, text
            weather = _claims(text, language.weather, beside=(language.biome, language.extra))
            assert weather <= {facts["weather"]}, text
            landmark = _claims(text, language.landmark, beside=(language.biome, language.extra))
            assert landmark <= {facts["landmark"]}, text
            spoken += len(landmark)
            if landmark:
                assert _claims(text, language.side) <= {facts["landmark_side"]}, text
    assert spoken > 20, "some captions name landmarks"


def test_facts_name_what_the_renderer_shows():
    config = WildsConfig(biomes=("desert",), weathers=("snow",), hours=(12.2,))
    facts = Wilds([4], 16, 24, config=config).facts()[0]
    assert (facts["biome"], facts["weather"], facts["time"]) == ("desert", "snow", "noon")
    assert facts["snow_lies"]


def test_beyond_the_border_facts_name_the_second_biome():
    wilds = Wilds(list(range(200)), 8, 12)
    b, rng = wilds.state.body, np.random.default_rng(0)
    x, z = (torch.tensor(rng.uniform(-3000, 3000, 200)) for _ in range(2))
    wilds.state = replace(wilds.state, body=replace(b, x=x, z=z))
    zero = torch.zeros(200, 1)
    blend = wilds.land.ground(wilds.land.anchor(x, z), zero, zero).blend[:, 0]
    named = [f["biome"] for f in wilds.facts()]
    for side, own in ((blend > 0.9, wilds.land.second), (blend < 0.1, wilds.land.first)):
        where = torch.nonzero(side)[:, 0].tolist()
        assert len(where) > 15
        assert [named[i] for i in where] == [biomes.NAMES[int(own[i])] for i in where]


def test_weather_in_between_is_not_named():
    wilds, rng = Wilds([1], 8, 12), np.random.default_rng(0)
    wilds.set_facts(weather="clear")
    wilds.event(["rain starts"])
    wilds.step(np.zeros((1, SPEC.size)))
    facts = wilds.facts()[0]
    for _ in range(40):
        assert not _claims(captions.caption(facts, rng), phrases.TRAINING.weather)


def test_a_landmark_in_view_stands_where_facts_say():
    wilds = Wilds(list(range(60)), 16, 24, config=WildsConfig(weathers=("clear",) * 60))
    goal, facts = episodes.aims(wilds), wilds.facts()
    seen = [f for f in facts if f["landmark"]]
    assert len(seen) > 15
    for f, bearing, distance in zip(facts, goal.bearing, goal.distance, strict=True):
        if f["landmark"] and abs(f["landmark_distance"] - distance) < 0.1:
            expected = "ahead" if abs(bearing) < 7 else "right" if bearing > 0 else "left"
            assert f["landmark_side"] == expected
    # Looking the other way, the same landmark is not in view.
    wilds.step(np.zeros((60, SPEC.size)))
    for _ in range(15):
        wilds.step(np.repeat(SPEC.build(1, look_yaw=240.0), 60, 0))
    for before, after in zip(facts, wilds.facts(), strict=True):
        if before["landmark"] and after["landmark"]:
            assert abs(before["landmark_distance"] - after["landmark_distance"]) > 1e-3


def test_events_play_out_over_time():
    names, n = list(events.EVENTS), len(events.EVENTS)
    wants = [events.EVENTS[name] for name in names]
    before = tuple("rain" if want.weather == "clear" else "clear" for want in wants)
    config = WildsConfig(weathers=before, hours=(9.0,) * n)
    wilds = Wilds([3] * n, 8, 12, config=config)
    lit = torch.tensor([1.0 - (want.fire or 0.0) for want in wants])
    wilds.state = start = replace(wilds.state, fire=lit, fire_target=lit)
    wilds.event(names)
    wilds.step(np.zeros((n, SPEC.size)))
    early, passed = wilds.state, torch.zeros(n)
    for _ in range(380):
        hour = wilds.state.hour
        wilds.step(np.zeros((n, SPEC.size)))
        passed += ((wilds.state.hour - hour + 12) % 24 - 12).abs()
    late = wilds.state
    for i, (want, facts) in enumerate(zip(wants, wilds.facts(), strict=True)):
        if want.weather:
            changed, all_of_it = (
                float((end.weather - start.weather)[i].abs().max()) for end in (early, late)
            )
            assert 0 < changed < 0.1 * all_of_it, f"{names[i]} begins and does not switch"
            assert facts["weather"] == want.weather
        if want.hour is not None:
            aim = want.hour if want.hour >= 0 else 9.0
            assert abs((float(early.hour[i]) - 9.0 + 12) % 24 - 12) < 0.5, "no jump"
            assert abs((float(late.hour[i]) - aim + 12) % 24 - 12) < 0.5
            assert float(passed[i]) > (23.5 if names[i] == "day passes" else 1.0)
        if want.fire is not None:
            assert abs(float(early.fire[i] - start.fire[i])) < 0.2
            assert abs(float(late.fire[i]) - want.fire) < 0.05


def test_a_typed_hour_is_there_within_three_seconds_by_the_shorter_way():
    wilds = Wilds([3] * 3, 8, 12, config=WildsConfig(hours=(12.0, 9.0, 20.0)))
    wilds.event(["night falls", "aurora appears", "noon comes"])
    way = []
    for _ in range(60):
        wilds.step(np.zeros((3, SPEC.size)))
        way.append(wilds.state.hour.clone())
    for hour, aim in zip(way[-1].tolist(), (21.5, 23.0, 12.0), strict=True):
        assert abs(hour - aim) < 0.1
    assert torch.stack(way)[:, 2].min() > 11.9, "noon is not reached through a night"


def test_unknown_names_are_refused_with_the_known_ones():
    wilds = Wilds([1], 8, 12)
    with pytest.raises(ValueError, match="rain starts"):
        wilds.event(["frogs fall"])
    with pytest.raises(ValueError, match="desert"):
        Wilds([1], config=WildsConfig(biomes=("dessert",)))
    with pytest.raises(ValueError, match="look_yaw"):
        wilds.step(np.zeros((1, 3)))


def test_policies_come_in_their_shares_and_within_the_spec():
    actions, names = policies.mix(np.random.default_rng(0), 3000, 40)
    assert actions.shape == (3000, 40, SPEC.size) and actions.dtype == np.float32
    for name, share in policies.SHARES.items():
        assert abs(names.count(name) / 3000 - share) < 0.03
    SPEC.validate(actions.reshape(-1, SPEC.size))
    still = (np.abs(actions).sum((1, 2)) == 0).mean()
    assert still >= 0.10, "at least a tenth of all clips has no input"
    angle = np.cumsum(actions[..., PITCH], 1) / 20
    assert np.abs(angle).max() <= policies.PITCH_BAND + 0.01


def test_lively_walkers_press_what_others_rarely_press():
    lively, names = policies.mix(np.random.default_rng(0), 1000, 100, shares=policies.LIVELY)
    usual, _ = policies.mix(np.random.default_rng(0), 1000, 100)
    assert set(names) == set(policies.LIVELY)
    SPEC.validate(lively.reshape(-1, SPEC.size))
    for channel in (STRAFE, JUMP):
        pressed = [(a[..., channel] != 0).mean() for a in (lively, usual)]
        assert pressed[0] > 0.1 and pressed[0] > 1.4 * pressed[1]


def test_a_goal_is_told_as_what_will_be_true():
    facts = Wilds([1], 8, 12, config=WildsConfig(weathers=("clear",), hours=(12.0,))).facts()[0]
    rng = np.random.default_rng(0)
    told = [captions.goal_caption("snow starts", facts, rng).lower() for _ in range(60)]
    assert any(_claims(text, {"snow": phrases.TRAINING.weather["snow"]}) for text in told)
    assert not any(_claims(text, {"clear": phrases.TRAINING.weather["clear"]}) for text in told)
    told = [captions.goal_caption("night falls", facts, rng).lower() for _ in range(60)]
    assert any(_claims(text, {"night": phrases.TRAINING.time["night"]}) for text in told)
    assert not any(_claims(text, {"noon": phrases.TRAINING.time["noon"]}) for text in told)


def test_palindromes_undo_themselves():
    a = policies.palindrome(np.random.default_rng(0), 50, 120, policies.no_aims(50))
    for channel in (FORWARD, STRAFE, YAW, PITCH):
        np.testing.assert_allclose(a[..., channel].sum(1), 0, atol=1e-3)
    assert np.abs(a[..., YAW]).max() > 10


def test_visits_reach_their_landmark_and_come_back():
    wilds = Wilds(list(range(24)), 8, 12, config=WildsConfig(biomes=("meadow",) * 24))
    goal = episodes.aims(wilds)
    a = policies.visit(np.random.default_rng(0), 24, 600, goal)
    start, nearest = wilds.poses(), np.full(24, np.inf)
    path = []
    for t in range(600):
        wilds.step(a[:, t])
        path.append(wilds.poses())
        b = wilds.state.body
        sites = objects.sites(wilds.land, wilds.land.anchor(b.x, b.z), b.x, b.z, 1)
        gap = (sites.cells.dx**2 + sites.cells.dz**2).sqrt()
        nearest = np.minimum(nearest, torch.where(sites.which >= 0, gap, 1e9).amin(1).numpy())
    known = np.isfinite(goal.distance)
    assert np.median(nearest[known]) < 0.35 * np.median(goal.distance[known])
    away = np.hypot(*(path[-1] - start)[known, :2].T)
    assert np.median(away) < 0.35 * np.median(goal.distance[known])
    assert a[..., RUN].max() == 1


def test_episodes_repeat_themselves_and_do_not_depend_on_the_batch():
    plan = episodes.Plan(frames=12, recaption_every=6, event_holds=3, event_share=0.9)
    many = episodes.record([3, 4, 5], height=16, width=24, plan=plan)
    one = episodes.record([4], height=16, width=24, plan=plan)
    np.testing.assert_array_equal(many.frames[1], one.frames[0])
    np.testing.assert_array_equal(many.actions[1], one.actions[0])
    assert many.captions[1] == one.captions[0]
    assert all(row and row[0].frame == 0 for row in many.captions)
    assert any(c.event for row in many.captions for c in row)


def test_weather_drawn_for_a_world_suits_its_hour():
    facts = Wilds(list(range(300)), 8, 12).facts()
    for f in facts:
        assert f["weather"] != "aurora" or f["time"] == "night"
    assert {f["weather"] for f in facts} == set(weather.NAMES)


def test_the_environment_passes_gymnasiums_check():
    gymnasium = pytest.importorskip("gymnasium")
    from gymnasium.utils.env_checker import check_env

    env = gymnasium.make(
        "training.worlds:helios/Wilds-v0", height=24, width=36, render_mode="rgb_array"
    )
    check_env(env.unwrapped)
    frame, info = env.reset(seed=4, options={"biome": "desert", "hour": 12.0, "weather": "clear"})
    assert frame.shape == (24, 36, 3) and info["facts"]["biome"] == "desert"
    again, _ = env.reset(seed=4, options={"biome": "desert", "hour": 12.0, "weather": "clear"})
    np.testing.assert_array_equal(frame, again)
    with pytest.raises(ValueError, match="biome"):
        env.reset(options={"biom": "desert"})


def test_rendering_needs_only_torch_and_numpy():
    import subprocess
    import sys

    code = (
        "import sys; import training.worlds.wilds.episodes\n"
        "heavy = ('pygame', 'omegaconf', 'av', 'PIL', 'matplotlib', 'pyarrow')\n"
        "bad = [name for name in heavy if name in sys.modules]\n"
        "print(bad); sys.exit(bool(bad))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
