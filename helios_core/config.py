"""What a transformer is made of: one frozen config, its presets and its checks.

A bad config or size is a ValueError with a remedy, before anything is allocated.

    config = small(channels=24, width=320, layers=8, text_dim=192, restrict_history=True)
    config.check_size(rows=8, columns=12)
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import prod
from typing import Any, Literal

from helios_core.conditioning import ActionConditioning


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """Architecture of a HeliosTransformer; the defaults are the released 14B."""

    patch: tuple[int, int, int] = (1, 2, 2)
    """Latent frames, rows, columns per token."""
    heads: int = 40
    """Attention heads."""
    head_dim: int = 128
    """Width of a head; the model's width is heads * head_dim."""
    layers: int = 40
    """Transformer blocks."""
    in_channels: int = 16
    """Latent channels in."""
    out_channels: int = 16
    """Latent channels out."""
    text_dim: int = 4096
    """Width of the text encoder's hidden states."""
    freq_dim: int = 256
    """Sinusoids of the time embedding; even."""
    ffn_dim: int = 13824
    """Inner width of the feed-forward layer."""
    history_sizes: tuple[int, int, int] = (16, 2, 1)
    """Kept latent frames: long (compressed 4x per axis), mid (2x), recent (sharp)."""
    anchor: bool = True
    """One anchor frame stands in front of the recent ones."""
    rope_dim: tuple[int, int, int] = (44, 42, 42)
    """Head channels turned by time, row and column; even, sum = head_dim."""
    rope_theta: float = 10000.0
    """Base of the rotary frequencies."""
    eps: float = 1e-6
    """Added to variances."""
    cross_attn_norm: bool = True
    """Affine layer norm before the cross-attention."""
    zero_history_timestep: bool = True
    """History is modulated as if its time were zero."""
    guidance_cross_attn: bool = True
    """Only noisy tokens attend to text."""
    multi_term_memory: bool = True
    """The model has patchers for history at all."""
    amplify_history: Literal["none", "scalar", "per_head"] = "none"
    """Learned growth of history keys."""
    restrict_history: bool = False
    """History attends only to history, so that its keys and values are made once per chunk."""
    prediction: Literal["velocity", "x0"] = "velocity"
    """What the output layer predicts; forward returns a velocity (noise - clean) either way."""
    carry: bool = False
    """Noisy tokens also see the newest latent of the history at their own place, and a predicted
    clean latent is a change to it: where nothing moves, there is nothing to predict."""
    forecast: tuple[int, int] = (0, 0)
    """Width and blocks of convolutions that guess the next latents from the newest two and the
    actions; the guess is carried in the newest latent's place (helios_core.local)."""
    local: tuple[int, int] = (0, 0)
    """Width and blocks of convolutions in front of the tokens, and of as many behind them."""
    pooled_text: bool = False
    """The mean of the text joins the time embedding, beside the cross-attention."""
    actions: ActionConditioning | None = None
    """None for a model that plays by text."""

    def __post_init__(self) -> None:
        self._check_numbers()
        self._check_rope()
        self._check_flags()

    @property
    def dim(self) -> int:
        """Model width."""
        return self.heads * self.head_dim

    @property
    def kept_frames(self) -> int:
        """Latent frames of history beside the anchor."""
        return sum(self.history_sizes)

    def check_size(self, rows: int, columns: int) -> None:
        """Refuse a latent size that the patches do not divide."""
        _, ph, pw = self.patch
        if min(rows, columns) < 1 or rows % ph or columns % pw:
            near = [max(1, round(n / p)) * p for n, p in ((rows, ph), (columns, pw))]
            raise ValueError(
                f"latent size {rows}x{columns} is not a multiple of the patch {ph}x{pw}; "
                f"nearest: {near[0]}x{near[1]}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain data for a manifest."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> "TransformerConfig":
        """Inverse of `to_dict`; unknown keys are errors."""
        known = {f.name for f in fields(TransformerConfig)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ValueError(f"transformer config: unknown keys {', '.join(unknown)}")
        plain: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
        }
        if plain.get("actions") is not None and not isinstance(
            plain["actions"], ActionConditioning
        ):
            plain["actions"] = _actions_from(plain["actions"])
        return TransformerConfig(**plain)

    @staticmethod
    def from_diffusers(values: Mapping[str, Any]) -> "TransformerConfig":
        """The config.json of a released checkpoint."""
        plain = {k: v for k, v in values.items() if not k.startswith("_")}
        for key, wanted in (("qk_norm", "rms_norm_across_heads"), ("added_kv_proj_dim", None)):
            found = plain.pop(key, wanted)
            if found != wanted:
                raise ValueError(f"config.json: {key} = {found!r}; only {wanted!r} is supported")
        amplified, mode = (
            plain.pop("is_amplify_history", False),
            plain.pop("history_scale_mode", ""),
        )
        plain["amplify_history"] = mode if amplified else "none"
        renamed = {DIFFUSERS_NAMES.get(key, key): value for key, value in plain.items()}
        return TransformerConfig.from_dict(renamed)

    def _check_numbers(self) -> None:
        counts = {
            name: getattr(self, name)
            for name in (
                *("heads", "head_dim", "layers", "in_channels", "out_channels"),
                *("text_dim", "freq_dim", "ffn_dim"),
            )
        }
        for name, value in counts.items():
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} = {value!r}: give a whole number of at least 1")
        if self.freq_dim % 2:
            raise ValueError(f"freq_dim = {self.freq_dim}: give an even number")
        for name in ("patch", "history_sizes", "rope_dim"):
            value = getattr(self, name)
            if len(value) != 3 or any(not isinstance(n, int) or n < 1 for n in value):
                raise ValueError(f"{name} = {value!r}: give three whole numbers of at least 1")
        for name in ("forecast", "local"):
            value = getattr(self, name)
            if len(value) != 2 or min(value) < 0 or (value[0] > 0) != (value[1] > 0):
                raise ValueError(f"{name} = {value!r}: give width and blocks, or two zeros")
        if self.patch[0] != 1:
            raise ValueError(f"patch = {self.patch}: time is not patched, its first number is 1")
        if self.eps <= 0 or self.rope_theta <= 1:
            raise ValueError("eps must be above 0 and rope_theta above 1; 1e-6 and 10000 are usual")

    def _check_rope(self) -> None:
        if any(n % 2 for n in self.rope_dim) or sum(self.rope_dim) != self.head_dim:
            raise ValueError(
                f"rope_dim = {self.rope_dim}: give three even numbers whose sum is head_dim "
                f"({self.head_dim}), such as {rope_split(self.head_dim)}"
            )

    def _check_flags(self) -> None:
        choices = {
            "amplify_history": ("none", "scalar", "per_head"),
            "prediction": ("velocity", "x0"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} = {getattr(self, name)!r}: give one of {allowed}")
        if self.prediction == "x0" and self.in_channels != self.out_channels:
            raise ValueError("prediction = x0 needs out_channels equal to in_channels")
        if self.carry and not self.multi_term_memory:
            raise ValueError("carry needs multi_term_memory switched on: it hands on the history")
        if any(self.forecast) and not (self.carry and self.actions and self.actions.modulation):
            raise ValueError("a forecast is carried and told actions: give carry and actions")
        if any(self.local) and not self.carry:
            raise ValueError("local convolutions read the carried latent: give carry = True")
        if self.actions and self.actions.cross_attention and not self.guidance_cross_attn:
            raise ValueError(
                "actions reach noisy tokens only: give guidance_cross_attn = True, "
                "or switch the actions' cross_attention off"
            )
        if not self.restrict_history:
            return
        needed = ("zero_history_timestep", "guidance_cross_attn", "multi_term_memory")
        missing = [name for name in needed if not getattr(self, name)]
        if missing:
            raise ValueError(
                f"restrict_history needs {', '.join(missing)} switched on: "
                "cached history must not depend on time or text"
            )


DIFFUSERS_NAMES = {
    "patch_size": "patch",
    "num_attention_heads": "heads",
    "attention_head_dim": "head_dim",
    "num_layers": "layers",
    "has_multi_term_memory_patch": "multi_term_memory",
}
"""Names in a released config.json that differ from ours."""


def rope_split(head_dim: int) -> tuple[int, int, int]:
    """The usual share of time, rows and columns: even, time gets the rest."""
    side = head_dim // 6 * 2
    return head_dim - 2 * side, side, side


def helios_14b(**changes: Any) -> TransformerConfig:
    """The released Base, Mid and Distilled models."""
    return TransformerConfig(**changes)


def small(
    *, channels: int, width: int, layers: int, text_dim: int, head_dim: int = 64, **changes: Any
) -> TransformerConfig:
    """A sibling for small machines: `width` 320 and 8 layers is about 10 million parameters."""
    if head_dim < 1 or width % head_dim:
        raise ValueError(f"width = {width}: give a multiple of head_dim ({head_dim})")
    settings: dict[str, Any] = {
        "heads": width // head_dim,
        "head_dim": head_dim,
        "layers": layers,
        "in_channels": channels,
        "out_channels": channels,
        "text_dim": text_dim,
        "ffn_dim": 4 * width,
        "rope_dim": rope_split(head_dim),
    }
    return TransformerConfig(**{**settings, **changes})


def token_grid(config: TransformerConfig, rows: int, columns: int) -> tuple[int, int]:
    """Token rows and columns of a latent frame."""
    return rows // config.patch[1], columns // config.patch[2]


def tokens_per_frame(config: TransformerConfig, rows: int, columns: int) -> int:
    return prod(token_grid(config, rows, columns))


def _actions_from(values: Mapping[str, Any]) -> ActionConditioning:
    unknown = sorted(set(values) - {f.name for f in fields(ActionConditioning)})
    if unknown:
        raise ValueError(f"transformer config, actions: unknown keys {', '.join(unknown)}")
    return ActionConditioning(**values)
