"""Recipes: every shipped one resolves, mistakes are named, a tiny one makes a pack that plays."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from helios_core.codecs.joined import JoinedCodec
from helios_core.packs.find import find
from helios_core.plain import to_plain
from tests.training import tiny as toy
from training import recipe, steps
from training.data import shards

SHIPPED = sorted(p.stem for p in recipe.RECIPES.glob("*.yaml"))
TINY = [
    "threads=1",
    "precision=fp32",
    'frames.settings={"height":32,"width":32,"parts":[{"clips":2,"frames":48}],"shard":2}',
    'held-frames.settings={"height":32,"width":32,"seed":9,"parts":[{"clips":2,"frames":88}]}',
    "codec.loop.samples=8",
    "codec.settings.batch=4",
    "codec.settings.held_clips=8",
    'codec.settings.model={"temporal":4,"channels":4,"encoder_widths":[8,8,8],'
    '"decoder_widths":[8,8,8],"encoder_blocks":[0,0,1],"decoder_blocks":[0,0,1]}',
    "forecast.loop.samples=8",
    "forecast.settings.batch=4",
    'forecast.settings.model={"width":32,"layers":2,"head_dim":16,"restrict_history":true,'
    '"carry":true,"prediction":"x0","forecast":[8,1],"local":[8,1]}',
    "decoder.loop.samples=8",
    "decoder.settings.batch=4",
    "decoder.settings.held_clips=8",
    "words.loop.samples=8",
    "words.settings.batch=4",
    'words.settings.text={"text_dim":16,"width":16,"layers":1,"heads":2,"buckets":64}',
    "near.loop.samples=8",
    "near.settings.batch=4",
    "near.settings.own.streams.count=2",
    "sharpen-near.loop.samples=8",
    "sharpen-near.settings.batch=4",
    "sharpen-near.settings.streams.count=2",
    "reader.loop.samples=8",
    "reader.settings.batch=4",
    "reader.settings.width=8",
    "sharpen.loop.samples=8",
    "sharpen.settings.batch=4",
    "sharpen.settings.streams.count=2",
    "export.settings.height=32",
    "export.settings.width=32",
    "export.settings.views.of_biomes=1",
    "export.settings.views.places=0",
]


def tiny(root: Path) -> list[str]:
    return [f"root={root}", *TINY]


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_recipes_resolve(name, tmp_path):
    loaded = recipe.load(name)
    for step_name, step in loaded.steps.items():
        steps.configure(step, step_name)
    recipe.freeze(loaded, tmp_path / "frozen.json")
    assert recipe.load(str(tmp_path / "frozen.json")) == loaded


def test_recipes_that_share_a_folder_share_no_step():
    """wilds-flow reads wilds-nano's latents; what each makes stands beside the other's."""
    nano, flow = recipe.load("wilds-nano"), recipe.load("wilds-flow")
    assert nano.root == flow.root and not set(nano.steps) & set(flow.steps)


def test_overrides_reach_steps_by_name():
    loaded = recipe.load("wilds-nano", ["near.loop.samples=7", "device=cpu", "root=/tmp/x"])
    assert loaded.steps["near"].loop.samples == 7 and loaded.root == "/tmp/x"


def test_one_number_shortens_every_step():
    whole, part = recipe.load("wilds-nano"), recipe.load("wilds-nano", ["shared.share=0.1"])
    for name, step in whole.steps.items():
        if step.stage in ("render", "encode", "export"):
            continue
        assert part.steps[name].loop.samples == step.loop.samples // 10
    walks = [
        [p["clips"] for p in loaded.steps["frames"].settings["parts"]] for loaded in (whole, part)
    ]
    assert walks == [[112, 8, 80], [11, 1, 8]]
    held = [loaded.steps["held-frames"].settings for loaded in (whole, part)]
    assert held[0] == held[1]  # what is held out stays the same


@pytest.mark.parametrize("share", ["0", "11", "half"])
def test_a_share_is_a_part_or_a_few_times_the_whole(share):
    assert recipe.load("wilds-nano", ["shared.share=3"]).steps["codec"].loop.samples == 72000
    with pytest.raises(ValueError, match="above 0, at most 10"):
        recipe.load("wilds-nano", [f"shared.share={share}"])


def test_one_number_widens_every_batch_and_what_goes_with_it():
    one, four = recipe.load("wilds-nano"), recipe.load("wilds-nano", ["shared.wide=4"])
    for name in ("codec", "decoder", "forecast", "near", "sharpen-near", "sharpen"):
        narrow, wide = one.steps[name], four.steps[name]
        assert wide.settings["batch"] == 4 * narrow.settings["batch"]
        assert wide.loop == narrow.loop  # as many windows in all
        for key in ("optimiser", "critic_optimiser"):
            if key in narrow.settings:
                warm, before = wide.settings[key], narrow.settings[key]
                assert warm == {**before, "warmup": 4 * before["warmup"]}
    sharpen = [loaded.steps["sharpen"].settings["streams"]["count"] for loaded in (one, four)]
    assert sharpen == [16, 64]


@pytest.mark.parametrize("wide", ["0", "1.5", "65", "wide"])
def test_a_step_is_a_whole_number_of_times_as_wide(wide):
    with pytest.raises(ValueError, match="whole number from 1 to 64"):
        recipe.load("wilds-nano", [f"shared.wide={wide}"])


@pytest.mark.parametrize(
    ("name", "override", "message"),
    [
        ("wilds-nano", "shared.shaer=0.1", r"no 'shared.shaer': it has shared\.share"),
        ("wilds-nano", 'shared={"share":0.1}', "no 'shared'"),
        ("wilds", "shared.share=0.1", "shares nothing"),
        ("frozen", "shared.share=0.1", "shares nothing"),
    ],
)
def test_a_shared_value_that_nothing_reads_is_refused(name, override, message, tmp_path):
    if name == "frozen":
        name = str(tmp_path / "frozen.json")
        recipe.freeze(recipe.load("wilds-nano"), Path(name))
    with pytest.raises(ValueError, match=message):
        recipe.load(name, [override])


def test_what_is_held_out_is_cut_as_the_others_are():
    """Else some episodes would be learnt from and judged."""
    cut = {"height": 48, "width": 80, "fps": 5, "frames": 240, "least": 60, "held_every": 4}
    loaded = recipe.load("freedoom", [f"shared.clips.{key}={value}" for key, value in cut.items()])
    learnt, held = (loaded.steps[name].settings for name in ("clips", "held-clips"))
    assert learnt == {"folders": ["clips/freedoom"], **cut} and held == {**learnt, "held": True}
    exported = loaded.steps["export"].settings
    assert (exported["height"], exported["width"]) == (48, 80)


def test_lists_need_no_quotes_that_a_shell_takes_away():
    loaded = recipe.load("freedoom", ["shared.clips.folders=[clips/doom, more]"])
    for step in ("clips", "held-clips"):
        assert loaded.steps[step].settings["folders"] == ["clips/doom", "more"]
    starts = "export.settings.presets=[{prompt: laps, clip: 0}, {prompt: rain, in June, clip: 2}]"
    with pytest.raises(ValueError, match="in June"):
        steps.configure(recipe.load("freedoom", [starts]).steps["export"], "export")
    starts = "[{prompt: laps at noon, clip: 0}, {prompt: rain}]"
    assert starts_of(starts) == [("laps at noon", 0), ("rain", -1)]
    starts = "[{prompt: 'wet, it: rains'}, {prompt: \"a, b\"}, {prompt: it's dry}]"
    assert starts_of(starts) == [("wet, it: rains", -1), ("a, b", -1), ("it's dry", -1)]


def starts_of(presets):
    """What `export.settings.presets=...` says."""
    loaded = recipe.load("freedoom", [f"export.settings.presets={presets}"])
    export, _ = steps.configure(loaded.steps["export"], "export")
    return [(start.prompt, start.clip) for start in export.presets]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("near.loop.sampels=7", "did you mean 'samples'"),
        ("near.settings.bach=7", "did you mean 'batch'"),
        ("nonsense", "write key=value"),
        ("near.loop.samples=many", "give a int"),
    ],
)
def test_mistakes_are_named(override, message):
    with pytest.raises(ValueError, match=message):
        loaded = recipe.load("wilds-nano", [override])
        steps.configure(loaded.steps["near"], "near")


def test_unknown_recipes_and_steps_are_named(tmp_path):
    with pytest.raises(ValueError, match="wilds-nano"):
        recipe.load("wilds-nanoo")
    with pytest.raises(ValueError, match="no step 'neer'"):
        steps.run(recipe.load("wilds-nano", tiny(tmp_path)), only=["neer"])


def clips_plan(root: Path, **changes) -> recipe.Recipe:
    """A recipe whose first step is a data step `shots`; changes are settings of it."""
    settings = {"folders": ["recorded"], "height": 32, "width": 32, **changes}
    made = {"shots": {"stage": "clips", "settings": settings}}
    values = {"name": "x", "root": str(root), "device": "cpu", "steps": made}
    return recipe.build(recipe.Recipe, values, "x")


def test_a_mistake_in_the_last_step_is_named_before_the_first_runs(tmp_path):
    plan = clips_plan(tmp_path)
    plan.steps["pack"] = recipe.StepConfig(stage="exprot")
    with pytest.raises(ValueError, match="pack: no stage 'exprot'"):
        steps.run(plan)
    assert not (tmp_path / "shots").exists()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("forecast.settings.model.widht=256", "forecast: model: unknown key 'widht'; did you mean"),
        ("forecast.settings.model.width=wide", "forecast: model: .*value of its kind"),
        ("forecast.settings.model.preset=smal", "model.preset is 'smal'; give one of small"),
        ("forecast.settings.model.forecast=[0, 0]", "forecast: this model has no forecast"),
        ("sharpen.settings.reader=raeder", "sharpen: settings.reader = 'raeder', but no step .*"
         "did you mean 'reader'"),
        ("sharpen.settings.streams.count=99", "sharpen: give fewer streams than batch"),
        ("near.settings.own.streams.count=99", "near: own.streams.count = 99: give fewer than"),
        ("near.settings.init=sharpen", "near: settings.init = 'sharpen', but no step before"),
        ("export.settings.codec=decodr", "export: settings.codec = 'decodr', .*mean 'decoder'"),
        ("export.settings.steps=[2]", "export: steps = "),
        ("latents.settings.codec=pack:wilds-nona", "latents: settings.codec: no pack 'wilds-nona'; "
         "did you mean 'wilds-nano'"),
        ("latents.settings.frames=", "latents: name either a step with frames"),
    ],
)  # fmt: skip
def test_what_cannot_go_well_is_named_before_the_first_step(override, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        steps.run(recipe.load("wilds-nano", [f"root={tmp_path}", override]))
    assert not list(tmp_path.iterdir())


def test_a_base_that_cannot_be_one_is_named_before_the_first_step(tmp_path):
    with pytest.raises(ValueError, match=r"export: .*freedoom is itself a difference; take wilds"):
        steps.run(recipe.load("freedoom", [f"root={tmp_path}/run", "shared.pack=freedoom"]))
    mine = tmp_path / "packs" / "mine"
    shutil.copytree(find("wilds-nano"), mine)
    (mine / "pack.yaml").write_text((mine / "pack.yaml").read_text().replace("fps: 20", "fps: 10"))
    with pytest.raises(ValueError, match=r"cannot be the base of .*by the name wilds-nano is"):
        steps.run(recipe.load("freedoom", [f"root={tmp_path}/run", f"shared.pack={mine}"]))
    assert not (tmp_path / "run").exists()


def test_beginnings_that_were_not_recorded_are_named_before_the_training(tmp_path):
    shards.write(tmp_path / "held-clips" / "0.safetensors", toy.pixel_clips(clips=2))
    (tmp_path / "held-clips" / "done.json").write_text("{}")
    config, _ = steps.configure(recipe.load("freedoom").steps["export"], "export")
    with pytest.raises(ValueError, match=r"held-clips has no clip 2; it has 2.*record more"):
        steps._check_later({"export": config}, tmp_path)


def test_a_codec_that_cannot_be_joined_is_named_before_the_training(tmp_path):
    toy.data(tmp_path)  # its codec makes two frames of a latent
    changes = ["export.settings.codec=codec", "export.settings.joining={shares: [0.5, 0.3]}"]
    config, _ = steps.configure(recipe.load("wilds-nano", changes).steps["export"], "export")
    with pytest.raises(ValueError, match="export: joining: 2 frames of each group are mixed"):
        steps._check_later({"export": config}, tmp_path)
    plan = recipe.load("freedoom", ["export.settings.joining={shares: [0.6, 0.4, 0.2, 0.1]}"])
    with pytest.raises(ValueError, match="export: joining: 4 frames of each group are mixed"):
        steps._check_later({"export": steps.configure(plan.steps["export"], "x")[0]}, tmp_path)
    for name in ("freedoom", "wilds-nano"):  # as shipped; wilds-nano's decoder has yet to learn
        config, _ = steps.configure(recipe.load(name).steps["export"], "export")
        steps._check_later({"export": config}, tmp_path)


def test_steps_are_looked_for_among_those_that_run_and_in_folders(tmp_path):
    loaded = recipe.load("wilds-flow", [f"root={tmp_path}"])
    with pytest.raises(ValueError, match=r"base: settings\.latents = 'latents', .*run that step"):
        steps.run(loaded)
    for name in ("latents", "held-latents", "codec"):
        (tmp_path / name).mkdir()
    with pytest.raises(ValueError, match=r"distill: settings\.teacher = 'base'"):
        steps.run(loaded, only=["distill"])


def test_half_a_step_is_not_gone_on_from(tmp_path):
    """Latents of the first shards alone would be done for ever."""
    loaded = recipe.load("wilds-nano", [f"root={tmp_path}"])
    steps.RunDir(tmp_path / "frames").open(to_plain(loaded.steps["frames"]))
    toy.shards.write(tmp_path / "frames" / "00000.safetensors", toy.pixel_clips())
    (tmp_path / "codec").mkdir()
    with pytest.raises(ValueError, match=r"latents: .*'frames', which is not done: .*to its end"):
        steps.run(loaded, only=["latents"])
    assert not (tmp_path / "latents").exists()


def test_two_chains_do_not_work_in_one_folder(tmp_path, monkeypatch):
    """Each would take the other's half-written files for its own."""
    loaded = recipe.load("wilds-nano", [f"root={tmp_path}"])
    monkeypatch.setattr("training.data.render.render", lambda *_: {})
    with steps._alone(steps.make_context(loaded, "frames")):
        with pytest.raises(ValueError, match="frames is being written by another process"):
            steps.run(loaded, only=["frames"])
        assert steps.run(loaded, only=["held-frames"]) == "done"
    assert steps.run(loaded, only=["frames"]) == "done"


def test_nested_fields_and_packs_name_their_origin():
    step = recipe.StepConfig(stage="finetune", settings={
        "latents": "a", "held": "b", "codec": "pack:wilds-nano", "origin": {"step": "d"},
    })  # fmt: skip
    named = dict(steps.named_steps(steps.configure(step, "x")[0]))
    assert named["settings.origin.step"] == "d" and named["settings.codec"] == "pack:wilds-nano"
    assert "settings.captions" not in named
    steps._check_named(steps.configure(step, "x")[0], "x", ["a", "b", "d"], Path("nowhere"))


def test_changes_of_an_origin_are_fields_of_the_model():
    changes = {"pack": "p", "changes": {"restrict_histroy": True}}
    step = recipe.StepConfig(
        stage="finetune", settings={"latents": "a", "held": "b", "codec": "c", "origin": changes}
    )
    with pytest.raises(ValueError, match="did you mean 'restrict_history'"):
        steps.configure(step, "x")


def test_clips_leave_nothing_of_an_earlier_run(tmp_path, monkeypatch):
    from engine.rollouts.reader import RolloutDataset
    from training.data import clips

    recorded = SimpleNamespace(spec=SimpleNamespace(fps=20), episodes=[], read=lambda *_: None)
    monkeypatch.setattr(RolloutDataset, "open", lambda _: recorded)
    monkeypatch.setattr(clips, "pieces", lambda *_: [clips.Piece(0, 0, 80, "")])
    monkeypatch.setattr(clips, "_clip", lambda *_: toy.pixel_clips())
    for name in ("00000.safetensors", "00007.safetensors", "notes.txt"):
        (tmp_path / "shots").mkdir(exist_ok=True)
        (tmp_path / "shots" / name).write_text("old")
    assert steps.run(clips_plan(tmp_path)) == "done"
    assert [p.name for p in (tmp_path / "shots").glob("*.safetensors")] == ["00000.safetensors"]
    assert (tmp_path / "shots" / "notes.txt").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frames": 600}, ""),  # the default, spelled out
        ({"width": 48}, "settings.width = 32, now it is 48; delete .*shots and"),
        ({"folders": ["recorded", "more"]}, "settings.folders"),
    ],
)
def test_a_finished_step_is_skipped_only_with_its_settings(tmp_path, changes, message):
    context = steps.make_context(clips_plan(tmp_path), "shots")
    context.rundir.open(to_plain(clips_plan(tmp_path).steps["shots"]))
    context.rundir.finish({})
    if message:
        with pytest.raises(ValueError, match=message):
            steps.run(clips_plan(tmp_path, **changes))
    else:
        assert steps.run(clips_plan(tmp_path, **changes)) == "done"


def test_of_a_loop_length_and_seed_count_of_data_no_workers(tmp_path):
    settings = {"frames": "frames", "held": "held-frames", "batch": 4}
    kept = {"samples": 8, "save_minutes": 1.0}

    def step(**loop):
        values = {"stage": "codec", "settings": settings, "loop": {**kept, **loop}}
        return recipe.build(recipe.StepConfig, values, "x")

    rundir = steps.RunDir(tmp_path / "codec")
    rundir.open(to_plain(step()))
    rundir.finish({})
    steps._unchanged(step(save_minutes=9.0, keep=5), rundir, "codec")
    with pytest.raises(ValueError, match=r"loop.samples = 8, now it is 80; .* root="):
        steps._unchanged(step(samples=80), rundir, "codec")
    with pytest.raises(ValueError, match=r"loop.budget_minutes = 0.0, now it is 3.0"):
        steps._unchanged(step(budget_minutes=3.0), rundir, "codec")
    with pytest.raises(ValueError, match=r"loop.land = false, now it is true"):
        steps._unchanged(step(land=True), rundir, "codec")
    older = to_plain(step())
    del older["loop"]["land"], older["loop"]["budget_minutes"]
    rundir.open(older)
    steps._unchanged(step(budget_minutes=3.0, land=True), rundir, "codec")
    frames = {"height": 32, "width": 32, "parts": [{"clips": 2, "frames": 48}]}
    one, two = (
        recipe.StepConfig(stage="render", settings={**frames, "workers": n}) for n in (1, 2)
    )
    rundir.open(to_plain(one))
    steps._unchanged(two, rundir, "frames")


@pytest.mark.parametrize("stage", ["render", "encode"])
def test_an_interrupted_data_step_goes_on_only_with_its_settings(stage, tmp_path, monkeypatch):
    def plan(clips: int) -> recipe.Recipe:
        walks = {"height": 32, "width": 32, "parts": [{"clips": clips, "frames": 48}]}
        settings = {"render": walks, "codec": "codec"} if stage == "encode" else walks
        made = {"shots": {"stage": stage, "settings": settings}}
        values = {"name": "x", "root": str(tmp_path), "device": "cpu", "steps": made}
        return recipe.build(recipe.Recipe, values, "x")

    module, _, function = steps.DATA[stage]
    monkeypatch.setattr(f"{module}.{function}", lambda *_: {})
    context = steps.make_context(plan(2), "shots")
    context.rundir.open(to_plain(plan(1).steps["shots"]))
    context.rundir.open(to_plain(plan(2).steps["shots"]))  # nothing was made before: no mixture
    toy.shards.write(tmp_path / "shots" / "00000.safetensors", toy.pixel_clips())
    (tmp_path / "codec").mkdir()
    with pytest.raises(ValueError, match=r"shots: begun with .*parts = .*now it is .*root="):
        steps.run(plan(1))
    assert steps.run(plan(2)) == "done"


@pytest.mark.full
def test_a_recipe_makes_a_pack_that_plays(tmp_path):
    from helios_core.packs import load_world

    loaded = recipe.load("wilds-nano", tiny(tmp_path))
    assert steps.run(loaded) == "done"
    world = load_world(tmp_path / "export" / "wilds-nano", threads=1)
    assert world.parts.stillness is not None and isinstance(world.parts.codec, JoinedCodec)
    state = world.start(seed=1, prompt="a green meadow")
    state, frames = world.advance(state, world.info.spec.zeros(4))
    assert frames.shape == (4, 32, 32, 3) and state.chunk == 1
    assert (tmp_path / "sharpen" / "samples" / "final.png").exists()
    assert steps.run(loaded) == "done"  # a second run finds everything done


BARE = """
import sys
for name in ("omegaconf", "yaml", "av", "pyarrow", "pygame", "matplotlib", "PIL", "diffusers",
             "transformers", "gymnasium", "psutil", "antlr4", "pandas"):
    sys.modules[name] = None  # importing it fails, looking for it finds nothing
import training.data.render
from training.worlds.wilds import captions, episodes, events, policies, world
from training.__main__ import main
sys.exit(main([sys.argv[1], "--only", "words,forecast,near,sharpen-near,reader,sharpen"]))
"""


def test_a_frozen_recipe_runs_on_a_bare_machine(tmp_path):
    """What a GPU machine runs needs torch, numpy, einops and safetensors alone."""
    settings = {"latents": "latents", "held": "held", "codec": "codec"}
    plan = [
        f"{step}.settings.{k}={v}"
        for step in ("near", "sharpen-near", "sharpen")
        for k, v in settings.items()
    ]
    plan += [
        f"{step}.settings.{k}={k}" for step in ("forecast", "reader") for k in ("latents", "held")
    ]
    loaded = recipe.load("wilds-nano", [*tiny(tmp_path), *plan])
    toy.data(tmp_path)
    frozen = tmp_path / "frozen.json"
    recipe.freeze(loaded, frozen)
    assert json.loads(frozen.read_text())["steps"]["near"]["loop"]["samples"] == 8
    code = [sys.executable, "-c", BARE, str(frozen)]
    done = subprocess.run(code, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "sharpen" / "final" / "transformer.safetensors").exists()


STEP = "{a: {stage: base, loop: {log_every: 0}}}"
MISTAKES = {
    "broken.yaml": ("name: x\nsteps: {a: [\n", "cannot be read"),
    "list.yaml": ("- a\n", "is no recipe"),
    "empty.yaml": ("name: x\nroot: r\nsteps:\n", "steps is missing or empty"),
    "none.yaml": ("name: x\nroot: r\nsteps: {}\n", "steps is empty"),
    "log.yaml": (f"name: x\nroot: r\nsteps: {STEP}\n", "log_every is 0; give at least 1"),
    "broken.json": ('{"name": "x"', "cannot be read as JSON"),
    "list.json": ("[1]", "is no recipe"),
    "empty.json": ('{"name": "x", "root": "r"}', "steps is missing or empty"),
    "cuda.yaml": ("name: x\nroot: r\ndevice: cuda\nsteps: {a: {stage: base}}\n", "no CUDA"),
    "draws.yaml": (
        "name: x\nroot: r\ndevice: cpu\nsteps: {a: {stage: base, settings: "
        "{latents: l, held: h, codec: c, draws: 0}}}\n",
        "draws is 0; give at least 1",
    ),
}


def test_a_step_whose_library_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(steps.DATA, "export", ("no_such_library", "Config", "run"))
    with pytest.raises(ValueError, match="export needs no_such_library, which is not installed"):
        steps.configure(recipe.load("wilds-nano").steps["export"], "export")


def test_settings_may_stand_behind_options(capsys):
    from engine.cli import main

    assert main(["train", "wilds-nano", "--list", "shared.share=0.1", "root=/tmp/x"]) == 0
    assert "/tmp/x/sharpen" in capsys.readouterr().out


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistaken_recipe_ends_with_one_sentence_and_code_2(name, tmp_path, monkeypatch, capsys):
    from engine.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    text, message = MISTAKES[name]
    Path(name).write_text(text)
    settings = ["a.loop.seed=1"] if name.endswith("json") else []
    assert main(["train", name, *settings]) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1
