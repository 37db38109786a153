"""The Helios video diffusion transformer, in both its sizes.

It predicts a velocity for the noisy latent frames of a chunk from a bounded, compressed history,
text and actions. What does not change within a chunk is computed once and passed in: text keys
and values per prompt, action keys and values per chunk and, with `restrict_history`, history keys
and values per chunk. Not here: sampling (helios_core.sampling), history upkeep (memory).

How a trainer calls it (autocast for bf16; everything below is differentiable):

    config = small(channels=24, width=320, layers=8, text_dim=192, restrict_history=True,
                   actions=ActionConditioning(channels=6, window=4))
    model = HeliosTransformer(config)
    history = make_history(kept, anchor, config.history_sizes)   # [B,C,19,h,w], [B,C,1,h,w]
    with torch.autocast("cpu", torch.bfloat16):
        velocity = model(x_t, t * 1000, hidden, history, actions, action_mask, text_mask=mask)
    loss = F.mse_loss(velocity.float(), noise - x0)

How a player calls it, many times per chunk with different x_t and t:

    text = model.text_cache(hidden, mask)          # once per prompt
    past = model.history_cache(history)            # once per chunk, needs restrict_history
    act = model.action_cache(actions, batch=1, frames=T)
    velocity = model(x_t, t, text, past, act)

Dimensions: B batch, C latent channels, T latent frames, h w latent rows and columns, N tokens
(history first), L text tokens, W pixel frames per latent frame, A action channels, D width,
P = head width / 2, R modulation rows.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from helios_core.attention import ActionMeeting, Exchange, KeyValue
from helios_core.blocks import Block, LayerMemory, OutputNorm, Patcher, Shared, matmul_dtype
from helios_core.conditioning import ActionEncoder, TimeTextEmbedding
from helios_core.config import TransformerConfig
from helios_core.local import LARGEST, Forecast, Local, together
from helios_core.memory import FrameIndices, History
from helios_core.positions import Positions, earlier_or_same
from kernels.norm import Rows

MIN_SIGMA = 0.05
"""A predicted clean latent is turned into a velocity by dividing by at least this."""
FP32_PARAMETERS = ("time_embedder", "scale_shift_table", "norm2", "history_key_scale")
"""Parts of parameter names that stay fp32 when a model is loaded in a smaller dtype."""


@dataclass(frozen=True)
class TextCache:
    """Text keys and values of every layer; prompts of one batch share one length."""

    layers: tuple[KeyValue, ...]
    mask: Tensor | None
    """[B,1,1,L] True where a text token counts; None = all."""
    pooled: Tensor | None = None
    """[B,D] added to the time embedding, for models with `pooled_text`"""


@dataclass(frozen=True)
class HistoryCache:
    """History keys and values of every layer, and the time positions that go with them."""

    layers: tuple[KeyValue, ...]
    indices: FrameIndices | None
    latest: Tensor
    """[B,C,2,h,w] the newest two latents, for models that carry them on"""


@dataclass(frozen=True)
class ActionCache:
    """Action keys and values of every layer and modulation additions of a chunk."""

    layers: tuple[KeyValue, ...] | None
    modulation: Tensor | None
    """[B,T,8,D]"""
    mixed: Tensor | None = None
    """[B,T,E] what a forecast is told"""
    guess: Tensor | None = None
    """[B,C,T,h,w] the forecast itself, where it was made once for a chunk (`foresee`)"""


def join_text(caches: Sequence[TextCache]) -> TextCache:
    """Caches of several worlds as one batch."""
    masks = [cache.mask for cache in caches]
    if any(mask is None for mask in masks) and not all(mask is None for mask in masks):
        raise ValueError("text caches with and without a mask cannot be joined: give all a mask")
    mask = None if masks[0] is None else torch.cat([m for m in masks if m is not None])
    layers = tuple(
        KeyValue(torch.cat([kv.key for kv in layer]), torch.cat([kv.value for kv in layer]))
        for layer in zip(*(cache.layers for cache in caches), strict=True)
    )
    pooled = [cache.pooled for cache in caches if cache.pooled is not None]
    return TextCache(layers, mask, torch.cat(pooled) if pooled else None)


class HeliosTransformer(nn.Module):
    """See the module's docstring. `checkpoint_blocks = True` trades compute for memory."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.checkpoint_blocks = False
        self.near_only = False  # the convolutions alone, while they are trained before the rest
        self.shares: Exchange | None = None  # several processes, each with its part of the tokens
        self.positions = Positions(config)
        dim, patch = config.dim, config.patch
        self.patch_embedding = Patcher(config.in_channels, dim, patch)
        if config.multi_term_memory:
            self.patch_short = Patcher(config.in_channels, dim, patch)
            self.patch_mid = Patcher(config.in_channels, dim, _times(patch, 2))
            self.patch_long = Patcher(config.in_channels, dim, _times(patch, 4))
        self.patch_carry = Patcher(config.in_channels, dim, patch) if config.carry else None
        self.forecast = _forecast(config)
        self.local = Local(config.in_channels, dim, *config.local) if any(config.local) else None
        if self.local is not None:
            width = config.local[0]
            self.patch_local = Patcher(width, dim, patch)
            self.proj_local = nn.Linear(dim, width * patch[1] * patch[2])
        self.condition_embedder = TimeTextEmbedding(
            dim, config.freq_dim, config.text_dim, pooled=config.pooled_text
        )
        self.actions = ActionEncoder(config.actions, dim) if config.actions else None
        self.blocks = nn.ModuleList(_block(config) for _ in range(config.layers))
        self.norm_out = OutputNorm(dim, config.eps)
        self.proj_out = nn.Linear(dim, config.out_channels * patch[1] * patch[2])
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Weights of a fresh model: the output starts at zero, history as averaged patches."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        nn.init.zeros_(self.proj_out.weight)
        if self.actions is not None and self.actions.to_modulation is not None:
            nn.init.zeros_(self.actions.to_modulation.weight)
        if self.config.multi_term_memory:
            _average(self.patch_embedding, self.patch_short, 1)
            _average(self.patch_embedding, self.patch_mid, 2)
            _average(self.patch_embedding, self.patch_long, 4)
        if self.patch_carry is not None:
            nn.init.zeros_(self.patch_carry.weight)
        if self.local is not None:
            nn.init.zeros_(self.patch_local.weight)
        for part in (self.forecast, self.local):
            if part is not None:
                for value in part.leave.parameters():
                    nn.init.zeros_(value)

    @property
    def layers(self) -> Iterable[Block]:
        """The blocks, first to last."""
        return cast("Iterable[Block]", self.blocks)

    @property
    def _attending(self) -> Iterable[Block]:
        """The blocks that take part."""
        return () if self.near_only else self.layers

    # What is computed once ------------------------------------------------------------------

    def text_cache(self, text: Tensor, mask: Tensor | None = None) -> TextCache:
        """Keys and values of text [B,L,text_dim] for every layer; mask [B,L] True = counts."""
        tokens = self.condition_embedder.text(text)
        layers = tuple(block.attn2.key_value(tokens) for block in self._attending)
        pooled = self.condition_embedder.pooled(tokens, mask)
        return TextCache(layers, None if mask is None else mask[:, None, None, :], pooled)

    def history_cache(self, history: History) -> HistoryCache:
        """Keys and values of the history for every layer; needs `restrict_history`."""
        if not self.config.restrict_history:
            raise ValueError(
                "this model's history also attends to the noisy frames, so it cannot be cached: "
                "pass the history itself, or train with restrict_history"
            )
        if self.near_only:
            return HistoryCache((), history.indices, history.latest)
        x, table = self._history_tokens(history)
        if self.shares is not None:
            x, table, _ = self.shares.own(x, table, x.shape[1], 0)
        zero = x.new_zeros(1, dtype=torch.float32)
        modulation = self.condition_embedder.time(zero, matmul_dtype(x))[1][:, None]
        x = x.to(self.residual_dtype)
        layers = []
        for i, block in enumerate(self.layers):
            x, past = block.history_step(x, modulation, table, i == self.config.layers - 1)
            layers.append(past)
        return HistoryCache(tuple(layers), history.indices, history.latest)

    def action_cache(
        self,
        actions: Tensor | None,
        mask: Tensor | None = None,
        *,
        batch: int,
        frames: int,
        indices: FrameIndices | None = None,
    ) -> ActionCache | None:
        """What the blocks take of actions [B,T,W,A] (None = null); mask [B] False = null."""
        if self.actions is None:
            if actions is not None:
                raise ValueError("this model was not trained with actions: pass actions=None")
            return None
        self._check_actions(actions, batch, frames)
        embedded = self.actions.embed(actions, mask, batch, frames)
        tokens = self.actions.tokens(embedded)
        mixed = self.actions.mixed(embedded)
        modulation = self.actions.modulation(mixed)
        if tokens is None:
            return ActionCache(None, modulation, mixed)
        places = self.positions.noisy(indices, frames)
        table = self.positions.time(places, self.actions.config.window, tokens.device)
        layers = tuple(block.attn2.action_key_value(tokens, table) for block in self._attending)
        return ActionCache(layers, modulation, mixed)

    def foresee(
        self, actions: ActionCache | None, history: History | HistoryCache | None
    ) -> ActionCache | None:
        """The actions with the forecast that follows from them, which all steps share."""
        if self.forecast is None or actions is None or history is None:
            return actions
        assert actions.mixed is not None
        return replace(actions, guess=self.forecast(history.latest, actions.mixed))

    # The model ------------------------------------------------------------------------------

    def forward(
        self,
        noisy: Tensor,
        timestep: Tensor,
        text: Tensor | TextCache,
        history: History | HistoryCache | None = None,
        actions: Tensor | ActionCache | None = None,
        action_mask: Tensor | None = None,
        *,
        text_mask: Tensor | None = None,
    ) -> Tensor:
        """Velocity (noise - clean) of noisy [B,C,T,h,w] at timestep [B] in 0..1000."""
        self._check_inputs(noisy, text, history)
        batch, _, frames, rows, columns = noisy.shape
        cache = text if isinstance(text, TextCache) else self.text_cache(text, text_mask)
        indices = None if history is None else history.indices
        if not isinstance(actions, ActionCache):
            actions = self.action_cache(
                actions, action_mask, batch=batch, frames=frames, indices=indices
            )
        carried = self._carried(noisy, history, actions)
        if self.near_only:
            return self._near_velocity(noisy, timestep, carried, cache, actions)
        x, table, head = self._tokens(noisy, history, carried)
        if self.shares is not None:
            x, table, head = self.shares.own(x, table, head, frames)
        span = (x.shape[1] - head) // frames
        per_frame = actions is not None and actions.modulation is not None
        modulation, last_rows = self._modulation(
            timestep, head, actions, cache.pooled, matmul_dtype(x)
        )
        near = None
        if self.local is not None:
            assert carried is not None
            near = self.local.read(noisy, carried, last_rows)
            seen = self.patch_local(together(near.seen, frames)).to(x.dtype)
            x = x + F.pad(seen, (0, 0, head, 0))
        shared = Shared(
            modulation=modulation,
            rows=Rows(head, span if per_frame else span * frames),
            table=table,
            text_mask=cache.mask,
            meeting=self._action_meeting(actions, indices, frames, span, x.device),
        )
        x = self._run_blocks(x.to(self.residual_dtype), shared, cache, history, actions)
        last = self.norm_out(x, last_rows, Rows(0, shared.rows.span))
        out = self.proj_out(last)
        if self.shares is not None:
            out = self.shares.all_frames(out, frames)
        made = self._unpatch(out, frames, rows, columns)
        if self.local is not None and near is not None:
            far = self._unpatch(self.proj_local(last), frames, rows, columns)
            made = made + self.local.write(near, far, frames).to(made.dtype)
        return self._as_velocity(made, noisy, timestep, carried)

    def _near_velocity(
        self,
        noisy: Tensor,
        timestep: Tensor,
        carried: Tensor | None,
        text: TextCache,
        actions: ActionCache | None,
    ) -> Tensor:
        """The velocity as the convolutions see it, without any token."""
        assert self.local is not None and carried is not None
        _, rows = self._modulation(timestep, 0, actions, text.pooled, matmul_dtype(noisy))
        made = self.local.write(self.local.read(noisy, carried, rows), None, noisy.shape[2])
        return self._as_velocity(made, noisy, timestep, carried)

    def _run_blocks(
        self,
        x: Tensor,
        shared: Shared,
        text: TextCache,
        history: History | HistoryCache | None,
        actions: ActionCache | None,
    ) -> Tensor:
        """All blocks; the last one returns the noisy tokens only."""
        pasts = history.layers if isinstance(history, HistoryCache) else None
        moves = None if actions is None else actions.layers
        for i, block in enumerate(self.layers):
            memory = LayerMemory(
                text=text.layers[i],
                past=None if pasts is None else pasts[i],
                actions=None if moves is None else moves[i],
            )
            keep = i < self.config.layers - 1
            if self.checkpoint_blocks and torch.is_grad_enabled():
                x = checkpoint(block, x, shared, memory, keep, use_reentrant=False)
            else:
                x = block(x, shared, memory, keep)
        return x

    def _check_inputs(self, noisy: Tensor, text, history: History | HistoryCache | None) -> None:
        """Refuse what would otherwise fail deep inside."""
        if noisy.ndim != 5 or noisy.shape[1] != self.config.in_channels:
            raise ValueError(
                f"noisy latents have shape {tuple(noisy.shape)}; give "
                f"[batch, {self.config.in_channels}, frames, rows, columns]"
            )
        self.config.check_size(noisy.shape[3], noisy.shape[4])
        if isinstance(text, Tensor) and text.shape[-1] != self.config.text_dim:
            raise ValueError(
                f"text hidden states are {text.shape[-1]} wide; this model wants "
                f"{self.config.text_dim}: use the text encoder it was trained with"
            )
        if isinstance(history, History) and history.short.shape[:2] != noisy.shape[:2]:
            raise ValueError(
                f"history is for batch and channels {tuple(history.short.shape[:2])}, the noisy "
                f"latents for {tuple(noisy.shape[:2])}: give both the same"
            )

    @property
    def residual_dtype(self) -> torch.dtype:
        """Dtype of the tokens between blocks: the weights', fp32 under autocast."""
        return self.proj_out.weight.dtype

    # Tokens and positions -------------------------------------------------------------------

    def _carried(
        self, noisy: Tensor, history: History | HistoryCache | None, actions: ActionCache | None
    ) -> Tensor | None:
        """What the clean latents are expected to be before a token is looked at [B,C,T,h,w]."""
        if not self.config.carry:
            return None
        if history is None:
            return torch.zeros_like(noisy)
        if actions is not None and actions.guess is not None:
            return _at_size(actions.guess, noisy)
        latest = _at_size(history.latest, noisy)
        if self.forecast is None:
            return latest[:, :, 1:].expand(-1, -1, noisy.shape[2], -1, -1)
        assert actions is not None and actions.mixed is not None
        return self.forecast(latest, actions.mixed)

    def _tokens(
        self, noisy: Tensor, history: History | HistoryCache | None, carried: Tensor | None
    ) -> tuple[Tensor, Tensor, int]:
        """Tokens [B,N,D], rotary table [N,P,2], and how many of them are history."""
        x = self.patch_embedding(noisy)
        if self.patch_carry is not None:
            assert carried is not None
            x = x + self.patch_carry(carried.to(noisy.dtype))
        indices = None if history is None else history.indices
        frames = self.positions.noisy(indices, noisy.shape[2])
        table = self.positions.grid(frames, noisy.shape[3], noisy.shape[4], 1, x.device)
        if not isinstance(history, History):
            return x, table, 0
        old, old_table = self._history_tokens(history)
        return torch.cat([old, x], dim=1), torch.cat([old_table, table]), old.shape[1]

    def _history_tokens(self, history: History) -> tuple[Tensor, Tensor]:
        """[long | mid | short] tokens and their table."""
        if not self.config.multi_term_memory:
            raise ValueError("this model has no memory patches: pass history=None")
        rows, columns = history.short.shape[3:]
        self.config.check_size(rows, columns)
        indices = self.positions.indices(history.indices, 1)
        parts = []
        if history.long is not None:
            parts.append((history.long, self.patch_long, indices.long, 4))
        if history.mid is not None:
            parts.append((history.mid, self.patch_mid, indices.mid, 2))
        parts.append((history.short, self.patch_short, indices.short, 1))
        for latents, _, places, _ in parts:
            if latents.shape[2] != len(places):
                raise ValueError(
                    f"a part of the history holds {latents.shape[2]} latent frames and "
                    f"{len(places)} positions: build it with make_history"
                )
        tokens = [patcher(latents) for latents, patcher, _, _ in parts]
        tables = [
            self.positions.grid(places, rows, columns, pool, history.short.device)
            for _, _, places, pool in parts
        ]
        return torch.cat(tokens, dim=1), torch.cat(tables)

    # Conditioning ---------------------------------------------------------------------------

    def _modulation(
        self,
        timestep: Tensor,
        head: int,
        actions: ActionCache | None,
        pooled: Tensor | None,
        dtype: torch.dtype,
    ) -> tuple[Tensor, Tensor]:
        """Rows for the blocks [B,R,6,D] (history first) and for the output [B,R',2,D]."""
        embedded, six = self.condition_embedder.time(timestep, dtype, pooled)
        two = embedded[:, None, None].expand(-1, 1, 2, -1)
        rows = six[:, None]
        if actions is not None and actions.modulation is not None:
            rows = rows + actions.modulation[:, :, :6].to(rows.dtype)
            two = two + actions.modulation[:, :, 6:].to(two.dtype)
        if head:
            old = six
            if self.config.zero_history_timestep:
                zero = torch.zeros_like(timestep[:1])
                old = self.condition_embedder.time(zero, dtype)[1].expand(len(six), -1, -1)
            rows = torch.cat([old[:, None], rows], dim=1)
        return rows, two

    def _check_actions(self, actions: Tensor | None, batch: int, frames: int) -> None:
        assert self.actions is not None
        config = self.actions.config
        wanted = (batch, frames, config.window, config.channels)
        if actions is not None and tuple(actions.shape) != wanted:
            raise ValueError(f"actions have shape {tuple(actions.shape)}; this call wants {wanted}")

    def _action_meeting(
        self,
        actions: ActionCache | None,
        indices: FrameIndices | None,
        frames: int,
        span: int,
        device,
    ) -> ActionMeeting | None:
        """A noisy token meets the actions of its latent frame and of those before."""
        if actions is None or actions.layers is None or self.config.actions is None:
            return None
        table = self.positions.time(self.positions.noisy(indices, frames), span, device)
        window = self.config.actions.window
        return ActionMeeting(table, earlier_or_same(frames, span, window, device))

    # Output ---------------------------------------------------------------------------------

    def _unpatch(self, x: Tensor, frames: int, rows: int, columns: int) -> Tensor:
        """Tokens [B,N,ph*pw*C] to latents [B,C,T,h,w]."""
        _, ph, pw = self.config.patch
        x = x.view(x.shape[0], frames, rows // ph, columns // pw, ph, pw, -1)
        return x.permute(0, 6, 1, 2, 4, 3, 5).reshape(x.shape[0], -1, frames, rows, columns)

    def _as_velocity(
        self, out: Tensor, noisy: Tensor, timestep: Tensor, carried: Tensor | None
    ) -> Tensor:
        if self.config.prediction == "velocity":
            return out
        if carried is not None:
            out = out.float() + carried.float()
        if self.forecast is not None:  # what it makes is what it goes on from
            out = out.clamp(-LARGEST, LARGEST)
        sigma = (timestep.float() / 1000).clamp(min=MIN_SIGMA).view(-1, 1, 1, 1, 1)
        return (noisy.float() - out.float()) / sigma


def _at_size(x: Tensor, noisy: Tensor) -> Tensor:
    """Latents [B,C,T,h,w] at the noisy frames' size: smaller on lower stages of a pyramid."""
    if x.shape[3:] == noisy.shape[3:]:
        return x
    return F.adaptive_avg_pool3d(x, (x.shape[2], noisy.shape[3], noisy.shape[4]))


def _forecast(config: TransformerConfig) -> Forecast | None:
    if not any(config.forecast):
        return None
    assert config.actions is not None
    return Forecast(config.in_channels, config.actions.width, *config.forecast)


def _average(fine: Patcher, coarse: Patcher, factor: int) -> None:
    """Make a coarse patcher the average of the fine one over its patches."""
    weight = fine.weight
    for axis in (2, 3, 4):
        weight = weight.repeat_interleave(factor, dim=axis)
    coarse.weight.copy_(weight / factor**3)


def _times(patch: tuple[int, int, int], factor: int) -> tuple[int, int, int]:
    return patch[0] * factor, patch[1] * factor, patch[2] * factor


def _block(config: TransformerConfig) -> Block:
    return Block(
        config.dim,
        config.ffn_dim,
        config.heads,
        config.eps,
        cross_attn_norm=config.cross_attn_norm,
        guidance_cross_attn=config.guidance_cross_attn,
        amplify=config.amplify_history,
        restrict=config.restrict_history,
        actions=config.actions is not None and config.actions.cross_attention,
    )
