"""UMT5Encoder: the text encoder of the released models, through transformers (extra `wan`).

Hidden states are zero past the prompt's tokens and the DiT attends to all of them, as in the
released pipelines: the mask is None. Prompts are cleaned as there (ftfy, HTML, white space).

    encoder = UMT5Encoder.load(Path("Helios/text_encoder"), Path("Helios/tokenizer"), ...)

B prompts, L tokens, D text_dim.
"""

import html
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

TOKENS = 512
"""L of the released models."""


class UMT5Encoder:
    """transformers' UMT5 encoder behind the `TextEncoder` interface."""

    known_words = None
    max_tokens = TOKENS

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.text_dim = int(model.config.d_model)

    @staticmethod
    def load(
        folder: Path, tokenizer: Path, *, device: torch.device | str, dtype: torch.dtype
    ) -> "UMT5Encoder":
        """The encoder of a released checkpoint; fp16 becomes bf16, which has its range."""
        import ftfy  # noqa: F401  (asked for here, so that a missing one is named at once)
        from transformers import AutoTokenizer, UMT5EncoderModel

        kind = torch.bfloat16 if dtype == torch.float16 else dtype
        # Any: the library's decorated `to` is more than the type checker understands.
        model: Any = UMT5EncoderModel.from_pretrained(folder, dtype=kind, local_files_only=True)
        words = AutoTokenizer.from_pretrained(tokenizer, local_files_only=True)
        model.to(device)
        return UMT5Encoder(model.eval().requires_grad_(False), words)

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> tuple[Tensor, None]:
        """Hidden states [B, L, D], zero past each prompt's tokens."""
        rows = self.tokenizer(
            [clean(text) for text in texts],
            padding="max_length",
            max_length=TOKENS,
            truncation=True,
            add_special_tokens=True,
            return_attention_mask=True,
            return_tensors="pt",
        )
        device = next(self.model.parameters()).device
        ids, mask = rows.input_ids.to(device), rows.attention_mask.to(device)
        hidden = self.model(ids, mask).last_hidden_state
        return hidden * mask.unsqueeze(-1).to(hidden.dtype), None

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "UMT5Encoder":
        """Move the weights, as residency does."""
        self.model.to(device, non_blocking=non_blocking)
        return self


def clean(text: str) -> str:
    """Mended encoding, no HTML entities, single spaces."""
    import ftfy

    mended = html.unescape(html.unescape(ftfy.fix_text(text))).strip()
    return re.sub(r"\s+", " ", mended).strip()
