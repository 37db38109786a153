"""`helios bench pipeline`: whole chunks, decode included, ours and diffusers' by turns.

Both sides take the same weights, the same codec and the same noise, drawn on the CPU. The models
are random: speed does not depend on what weights say. `exact` is the released maths, `cached` and
`cached_8bit` are other functions of the same cost structure, whose frames are not compared with
the reference's. With `--compile` each runs by turns with its like whose codec is compiled, and the
frames of the two are compared.
"""
# diffusers' parts may be None, and its configs are callable only to a type checker:
# pyright: reportArgumentType=false

import argparse
import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from engine.cli.bench_report import (
    add_common,
    ceilings,
    choose_attention,
    finish,
    floor_share,
    hardware,
    keep,
    release,
    settle,
    share_text,
    summary,
    synchronise,
    torch_dtype,
)

EXAMPLE = "helios bench pipeline --against diffusers --size tiny"
VARIANTS = ("exact", "cached", "cached_8bit")
GAMMA = 0.3333
"""The reference factors its noise covariance numerically, which can fail at exactly 1/3."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What every side of a comparison shares."""

    size: str
    device: str
    dtype: Any
    chunks: int
    steps: tuple[int, ...]
    graph: bool
    compile: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_common(parser, repeats=5)
    add = parser.add_argument
    add("--against", choices=["diffusers"], help="run the reference too, interleaved")
    add("--variant", action="append", choices=VARIANTS, help="default: all")
    add("--chunks", type=int, default=2, help="chunks of a video")
    add("--steps", help="per pyramid stage, coarse to fine (default 1,1,1; tiny 1,1)")
    add("--no-graph", action="store_true", help="launch kernels one by one")
    add("--compile", action="store_true", help="each also with its codec compiled (takes minutes)")
    add("--compile-reference", action="store_true",
        help="compile the reference as its documents advise (takes minutes)")  # fmt: skip


def run(args: argparse.Namespace) -> int:
    settle(args)
    text = args.steps or ("1,1,1" if args.size == "14b" else "1,1")
    if not all(part.strip().isdigit() and int(part) for part in text.split(",")):
        raise ValueError(f"--steps {text!r}: give whole numbers per stage, such as 1,1,1")
    if args.chunks < 1:
        raise ValueError("--chunks is at least 1")
    setting = Setting(size=args.size, device=args.device, dtype=torch_dtype(args.dtype),
                      chunks=args.chunks, steps=tuple(map(int, text.split(","))),
                      graph=args.device == "cuda" and not args.no_graph,
                      compile=args.compile)  # fmt: skip
    machine, limits = hardware(args.device), ceilings(args.device, setting.dtype)
    print(f"{machine}\n{args.size}, {args.dtype}, steps {text}, {args.chunks} chunks, "
          f"warm-up {args.warmup}, CUDA graphs {setting.graph}, products reach "
          f"{limits['flop_per_s'] / 1e12:.3f} TFLOP/s", flush=True)  # fmt: skip
    codecs, rows = _codecs(setting), []
    report = {"hardware": machine, "ceilings": limits, "size": args.size, "dtype": args.dtype,
              "steps": text, "chunks": args.chunks, "warmup": args.warmup,
              "compiled_reference": args.compile_reference, "graphs": setting.graph,
              "rows": rows}  # fmt: skip
    for name in args.variant or VARIANTS:
        rows += _compare(name, args, setting, limits, codecs)
        release(args.device)  # two models of 14B and their graphs are too much for some
        _add_ratios(rows)
        keep("pipeline", report, args.report)
    return finish("pipeline", report, args.report)


def _compare(
    name: str,
    args: argparse.Namespace,
    setting: Setting,
    limits: dict[str, float],
    codecs: dict[str, Any],
) -> list[dict[str, Any]]:
    """Time one variant of ours; beside the exact one, the reference in turns with it.

    Both are held against the floor of our products, as their frames are the same.
    """
    from engine.cli.bench_model import CACHED, config_of, random_model, random_text
    from helios_core.eightbit import use_eight_bits
    from helios_core.products import Products, count_products
    from helios_core.program import ModelProgram

    config = config_of(setting.size, **(CACHED if name != "exact" else {}))
    model = random_model(config, setting.device, setting.dtype)
    if name == "cached_8bit":
        use_eight_bits(model)
    text = random_text(config, setting.size, setting.device, setting.dtype)
    one = _ours(model, model, codecs["plain"], text, replace(setting, chunks=1))
    choose_attention(setting.device, one)
    _peak(setting.device)  # trying backends takes memory of its own
    call: Any = ModelProgram(model) if setting.graph else model
    sides = {name: _ours(model, call, codecs["plain"], text, setting)}
    if setting.compile:
        sides[f"{name}, compiled"] = _ours(model, call, codecs["compiled"], text, setting)
    if args.against and name == "exact":
        vae, compiled = codecs["diffusers"], args.compile_reference
        sides["diffusers"] = _reference(model, vae, text, setting, compiled)
    times: dict[str, list[float]] = {side: [] for side in sides}
    frames = {}
    for repeat in range(args.warmup + args.repeats):
        for side, make in sides.items():
            synchronise(setting.device)
            began = time.perf_counter()
            frames[side] = make()
            synchronise(setting.device)
            if repeat >= args.warmup:
                times[side].append(time.perf_counter() - began)
    peak = _peak(setting.device)
    # Every chunk of a video multiplies as much as any other.
    work = Products(each=count_products(one).each * setting.chunks)
    others = [side for side in sides if side != name]
    agreement = {side: _agreement(frames[name], frames[side]) for side in others}
    agreement[name] = agreement.get("diffusers", {})
    made = frames[name].shape[0]  # the reference makes as many, and cuts some off
    rows = []
    for side, taken in times.items():
        found = summary(taken)
        found |= floor_share(work, limits, found["p50_ms"])
        rows.append(_row(side, found | peak, made, agreement[side]))
    return rows


def _peak(device: str) -> dict[str, float]:
    """The most memory that a GPU held so far, of both sides of a variant."""
    import torch

    if device != "cuda":
        return {}
    most = round(torch.cuda.max_memory_allocated() / 2**30, 2)
    torch.cuda.reset_peak_memory_stats()
    return {"peak_gib": most}


def _row(side: str, found: dict[str, Any], frames: int, agreement) -> dict[str, Any]:
    """What is known of one side, printed."""
    rate = frames / found["p50_ms"] * 1e3
    row = {"variant": side, **found, "frames": frames, "frames_per_s": round(rate, 3)}
    note = ", ".join(f"{k} {v:.4g}" for k, v in agreement.items())
    print(f"{side:<21} {found['p50_ms']:10.1f} ms  p95 {found['p95_ms']:10.1f}"
          f"  {rate:8.2f} frames/s  {share_text(found)}  {note}", flush=True)  # fmt: skip
    return row | agreement


def _add_ratios(rows: list[dict[str, Any]]) -> None:
    """Our frames per second over the reference's of the same run."""
    base = [row["frames_per_s"] for row in rows if row["variant"] == "diffusers"]
    for row in rows:
        if base and row["variant"] != "diffusers" and "against_diffusers" not in row:
            row["against_diffusers"] = round(row["frames_per_s"] / base[0], 3)
            print(f"{row['variant']:<21} {row['against_diffusers']:.2f} x diffusers")


def _agreement(ours, theirs) -> dict[str, float]:
    """How far apart the two sides' frames are, in 0..1 pixels.

    The reference cuts its last frames off, to a multiple of four and one.
    """
    import torch

    ours = ours[: theirs.shape[0]]
    if ours.shape != theirs.shape:
        raise ValueError(f"frames {tuple(ours.shape)} against {tuple(theirs.shape)}")
    difference = (ours.float() - theirs.float()).abs()
    if not torch.isfinite(difference).all():
        raise ValueError("frames are not finite: the random weights overflow in this dtype")
    square = difference.square().mean().clamp_min(1e-12)
    return {"psnr": round(float(-10 * torch.log10(square)), 2), "largest": float(difference.max())}


class _Replay:
    """One generator drawn from in order, as the reference's pipelines do."""

    def __init__(self) -> None:
        import torch

        self.generator = torch.Generator().manual_seed(5)

    def normal(self, name: str, shape: tuple[int, ...]):
        import torch

        return torch.randn(shape, generator=self.generator)

    def uniform(self, name: str, shape: tuple[int, ...]):
        import torch

        return torch.rand(shape, generator=self.generator)


def _codecs(setting: Setting) -> dict[str, Any]:
    """A Wan codec with random weights, of the released size or a tiny one: as the reference takes
    it, and as we do."""
    import torch
    from diffusers import AutoencoderKLWan

    from helios_core.codecs.beside import BesideCodec
    from helios_core.codecs.wan import WanCodec

    torch.manual_seed(1)
    with torch.device(setting.device):
        vae: Any = AutoencoderKLWan() if setting.size == "14b" else AutoencoderKLWan(base_dim=3)
    vae.to(setting.dtype).eval().requires_grad_(False)
    ours = {"plain": WanCodec(copy.deepcopy(vae))}
    if setting.compile:
        ours["compiled"] = WanCodec(copy.deepcopy(vae))
        ours["compiled"].compile()
    place = torch.device(setting.device)
    return {"diffusers": vae} | {k: BesideCodec(codec, place) for k, codec in ours.items()}


def _ours(model, call, codec, text, setting: Setting) -> Callable[[], Any]:
    """A function that makes a video [F,3,H,W] in 0..1, codec included. `call` is the model, or a
    program of it."""
    import torch

    from engine.cli.bench_model import SIZES
    from helios_core.codecs.beside import begin
    from helios_core.memory import make_history
    from helios_core.sampling.chunk import Conditions, sample_chunk
    from helios_core.sampling.plan import SamplerPlan

    plan = SamplerPlan(solver="dmd", steps=setting.steps, shift_size="as_published", gamma=GAMMA)
    size, config = SIZES[setting.size], model.config
    shape = (1, config.in_channels, size.frames, size.rows, size.columns)

    @torch.no_grad()
    def make():
        noise, anchor, cache, frames = _Replay(), None, model.text_cache(text), []
        kept = torch.zeros(*shape[:2], config.kept_frames, *shape[3:], device=setting.device)
        for chunk in range(setting.chunks):
            history = make_history(kept, anchor, config.history_sizes).to(setting.dtype)
            past = model.history_cache(history) if config.restrict_history else history
            given = Conditions(text=cache, history=past)
            latents = sample_chunk(call, plan, noise, shape, given, first_chunk=chunk == 0)
            anchor = latents[:, :, :1] if anchor is None else anchor
            kept = torch.cat([kept, latents], dim=2)[:, :, -config.kept_frames :]
            frames.append(begin(codec, latents, new=size.frames))  # beside the next chunk
        video = torch.cat([part.frames()[0] for part in frames], dim=1).transpose(0, 1)
        return ((video + 1) / 2).clamp(0, 1)

    return make


def _reference(model, vae, text, setting: Setting, compiled: bool) -> Callable[[], Any]:
    """diffusers' pipeline on the same tensors."""
    import torch
    from diffusers import HeliosDMDScheduler, HeliosPyramidPipeline

    from engine.cli.bench_model import SIZES

    size = SIZES[setting.size]
    scheduler = HeliosDMDScheduler(stages=len(setting.steps), gamma=GAMMA,
                                   use_dynamic_shifting=True, time_shift_type="linear",
                                   **_stage_range(len(setting.steps)))  # fmt: skip
    pipeline = HeliosPyramidPipeline(tokenizer=None, text_encoder=None, vae=vae,
                                     scheduler=scheduler, transformer=_twin(model),
                                     is_distilled=True)  # fmt: skip
    pipeline.set_progress_bar_config(disable=True)
    if compiled:
        for part in (pipeline.vae, pipeline.transformer):
            part.compile(mode="max-autotune-no-cudagraphs", dynamic=False)

    @torch.no_grad()
    def make():
        frames = pipeline(
            prompt_embeds=text, negative_prompt_embeds=text, guidance_scale=1.0,
            height=size.rows * 8, width=size.columns * 8,
            num_frames=setting.chunks * (4 * (size.frames - 1) + 1),
            num_latent_frames_per_chunk=size.frames, history_sizes=[16, 2, 1],
            pyramid_num_inference_steps_list=list(setting.steps), is_amplify_first_chunk=False,
            generator=torch.Generator().manual_seed(5), output_type="pt", return_dict=False,
        )[0]  # fmt: skip
        return frames[0]

    return make


def _stage_range(stages: int) -> dict[str, Any]:
    return {"stage_range": [i / stages for i in range(stages + 1)]}


def _twin(model):
    """diffusers' transformer holding our very tensors."""
    import torch
    from diffusers import HeliosTransformer3DModel

    c = model.config
    with torch.device("meta"):
        twin = HeliosTransformer3DModel(
            patch_size=c.patch, num_attention_heads=c.heads, attention_head_dim=c.head_dim,
            in_channels=c.in_channels, out_channels=c.out_channels, text_dim=c.text_dim,
            freq_dim=c.freq_dim, ffn_dim=c.ffn_dim, num_layers=c.layers, eps=c.eps,
            cross_attn_norm=c.cross_attn_norm, rope_dim=c.rope_dim, rope_theta=c.rope_theta,
            guidance_cross_attn=c.guidance_cross_attn,
            zero_history_timestep=c.zero_history_timestep,
            has_multi_term_memory_patch=c.multi_term_memory, is_amplify_history=False,
        )  # fmt: skip
    twin.load_state_dict(model.state_dict(), strict=True, assign=True)
    fresh = type(twin.rope)(rope_dim=c.rope_dim, theta=c.rope_theta)
    twin.rope = fresh.to(model.proj_out.weight.device)  # its tables are not in the weights
    return twin.eval().requires_grad_(False)
