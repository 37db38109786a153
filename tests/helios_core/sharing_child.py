"""Run by test_context in each of several processes: forwards and a chunk made together."""

import sys
from dataclasses import replace
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import save_file
from torch import Tensor

from helios_core.context import share_context
from helios_core.sampling.chunk import Conditions, sample_chunk
from helios_core.sampling.noise import SeededNoise
from helios_core.sampling.plan import SamplerPlan
from helios_core.transformer import HeliosTransformer
from tests.helios_core.test_model import TINY, inputs_of, model_of

FULL = replace(TINY, restrict_history=False, amplify_history="per_head")
TEXT_ONLY = replace(TINY, actions=None)
PLAN = SamplerPlan(steps=(2,), shift="none")


def models() -> dict[str, HeliosTransformer]:
    return {"restricted": model_of(TINY), "full": model_of(FULL), "by text": model_of(TEXT_ONLY)}


@torch.no_grad()
def results(models: dict[str, HeliosTransformer]) -> dict[str, Tensor]:
    """What one process makes alone, and several make together."""
    found = {}
    for name, model in models.items():
        given = inputs_of(model.config)
        found[f"{name}, at once"] = model(**given)
        if model.config.restrict_history:
            past = model.history_cache(given["history"])
            found[f"{name}, cached"] = model(**{**given, "history": past})
    model, given = models["restricted"], inputs_of(TINY)
    conditions = Conditions(
        text=model.text_cache(given["text"]), history=model.history_cache(given["history"])
    )
    noise = SeededNoise([(0, 0), (1, 0)])
    found["chunk"] = sample_chunk(model, PLAN, noise, tuple(given["noisy"].shape), conditions)
    return found


def main(folder: Path, rank: int, count: int) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=count
    )
    made = models()
    for model in made.values():
        shares = share_context(model)
        assert (shares.rank, shares.count) == (rank, count)
    save_file(results(made), folder / f"{rank}.safetensors")
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
