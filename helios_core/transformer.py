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
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from helios_core.attention import ActionMeeting, Exchange, KeyValue
from helios_core.blocks import Block, LayerMemory, OutputNorm, Patcher, Shared, matmul_dtype
from helios_core.conditioning import ActionEncoder, TimeTextEmbedding
from helios_core.config import TransformerConfig
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


@dataclass(frozen=True)
class HistoryCache:
    """History keys and values of every layer, and the time positions that go with them."""

    layers: tuple[KeyValue, ...]
    indices: FrameIndices | None
    newest: Tensor
    """[B,C,1,h,w], for models that carry it on"""


@dataclass(frozen=True)
class ActionCache:
    """Action keys and values of every layer and modulation additions of a chunk."""

    layers: tuple[KeyValue, ...] | None
    modulation: Tensor | None
    """[B,T,8,D]"""


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
    return TextCache(layers, mask)


class HeliosTransformer(nn.Module):
    """See the module's docstring. `checkpoint_blocks = True` trades compute for memory."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.checkpoint_blocks = False
        self.shares: Exchange | None = None  # several processes, each with its part of the tokens
        self.positions = Positions(config)
        dim, patch = config.dim, config.patch
        self.patch_embedding = Patcher(config.in_channels, dim, patch)
        if config.multi_term_memory:
            self.patch_short = Patcher(config.in_channels, dim, patch)
            self.patch_mid = Patcher(config.in_channels, dim, _times(patch, 2))
            self.patch_long = Patcher(config.in_channels, dim, _times(patch, 4))
        self.patch_carry = Patcher(config.in_channels, dim, patch) if config.carry else None
        self.condition_embedder = TimeTextEmbedding(dim, config.freq_dim, config.text_dim)
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

    @property
    def layers(self) -> Iterable[Block]:
        """The blocks, first to last."""
        return cast("Iterable[Block]", self.blocks)

    # What is computed once ------------------------------------------------------------------

    def text_cache(self, text: Tensor, mask: Tensor | None = None) -> TextCache:
        """Keys and values of text [B,L,text_dim] for every layer; mask [B,L] True = counts."""
        tokens = self.condition_embedder.text(text)
        layers = tuple(block.attn2.key_value(tokens) for block in self.layers)
        return TextCache(layers, None if mask is None else mask[:, None, None, :])

    def history_cache(self, history: History) -> HistoryCache:
        """Keys and values of the history for every layer; needs `restrict_history`."""
        if not self.config.restrict_history:
            raise ValueError(
                "this model's history also attends to the noisy frames, so it cannot be cached: "
                "pass the history itself, or train with restrict_history"
            )
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
        return HistoryCache(tuple(layers), history.indices, history.newest)

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
        modulation = self.actions.modulation(embedded)
        if tokens is None:
            return ActionCache(None, modulation)
        places = self.positions.noisy(indices, frames)
        table = self.positions.time(places, self.actions.config.window, tokens.device)
        layers = tuple(block.attn2.action_key_value(tokens, table) for block in self.layers)
        return ActionCache(layers, modulation)

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
        x, table, head = self._tokens(noisy, history)
        if self.shares is not None:
            x, table, head = self.shares.own(x, table, head, frames)
        span = (x.shape[1] - head) // frames
        per_frame = actions is not None and actions.modulation is not None
        modulation, last_rows = self._modulation(timestep, head, actions, matmul_dtype(x))
        shared = Shared(
            modulation=modulation,
            rows=Rows(head, span if per_frame else span * frames),
            table=table,
            text_mask=cache.mask,
            meeting=self._action_meeting(actions, indices, frames, span, x.device),
        )
        x = self._run_blocks(x.to(self.residual_dtype), shared, cache, history, actions)
        out = self.norm_out(x, last_rows, Rows(0, shared.rows.span))
        out = self.proj_out(out)
        if self.shares is not None:
            out = self.shares.all_frames(out, frames)
        made = self._unpatch(out, frames, rows, columns)
        return self._as_velocity(made, noisy, timestep, history)

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

    def _tokens(
        self, noisy: Tensor, history: History | HistoryCache | None
    ) -> tuple[Tensor, Tensor, int]:
        """Tokens [B,N,D], rotary table [N,P,2], and how many of them are history."""
        x = self.patch_embedding(noisy)
        if self.patch_carry is not None and history is not None:
            x = x + self.patch_carry(_carried(history.newest, noisy).to(noisy.dtype))
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
        self, timestep: Tensor, head: int, actions: ActionCache | None, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor]:
        """Rows for the blocks [B,R,6,D] (history first) and for the output [B,R',2,D]."""
        embedded, six = self.condition_embedder.time(timestep, dtype)
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
        self,
        out: Tensor,
        noisy: Tensor,
        timestep: Tensor,
        history: History | HistoryCache | None,
    ) -> Tensor:
        if self.config.prediction == "velocity":
            return out
        if self.config.carry and history is not None:
            out = out.float() + _carried(history.newest, noisy).float()
        sigma = (timestep.float() / 1000).clamp(min=MIN_SIGMA).view(-1, 1, 1, 1, 1)
        return (noisy.float() - out.float()) / sigma


def _carried(newest: Tensor, noisy: Tensor) -> Tensor:
    """The newest latent [B,C,1,h,w] under every noisy frame, at the noisy frames' resolution."""
    rows, columns = noisy.shape[3:]
    if newest.shape[3:] != noisy.shape[3:]:  # a lower stage of a pyramid
        newest = F.adaptive_avg_pool2d(newest[:, :, 0], (rows, columns)).unsqueeze(2)
    return newest.expand(-1, -1, noisy.shape[2], -1, -1)


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
