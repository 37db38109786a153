"""A tiny random checkpoint in the released layout, written by diffusers itself.

Not a test: the tests of import, codec and text encoder share it. Built once a session.
"""

from pathlib import Path

import torch

HEIGHT, WIDTH = 64, 64


def write_released(folder: Path) -> Path:
    """A distilled pyramid pipeline with random weights and sharded safetensors."""
    from diffusers import (
        AutoencoderKLWan,
        HeliosDMDScheduler,
        HeliosPyramidPipeline,
        HeliosTransformer3DModel,
    )
    from transformers import UMT5Config, UMT5EncoderModel

    torch.manual_seed(0)
    transformer = HeliosTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=16,
        out_channels=16,
        text_dim=32,
        freq_dim=16,
        ffn_dim=32,
        num_layers=2,
        rope_dim=(4, 4, 4),
    )
    text = UMT5Config(
        vocab_size=300, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, dropout_rate=0.0
    )
    pipeline = HeliosPyramidPipeline(
        tokenizer=_byte_tokenizer(),
        text_encoder=UMT5EncoderModel(text).eval(),
        vae=AutoencoderKLWan(base_dim=3, num_res_blocks=1).eval(),
        scheduler=HeliosDMDScheduler(gamma=0.3333, use_dynamic_shifting=True),
        transformer=transformer.eval(),
        is_distilled=True,
    )
    with torch.no_grad():
        for network in (transformer, pipeline.text_encoder):
            for weight in network.parameters():
                weight.add_(0.05 * torch.randn_like(weight))
    pipeline.save_pretrained(folder, max_shard_size="60KB")
    return folder


def _byte_tokenizer():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = {"<pad>": 0, "</s>": 1, "<unk>": 2}
    words.update({letter: i + 3 for i, letter in enumerate(alphabet)})
    tokenizer = Tokenizer(models.BPE(vocab=words, merges=[], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )
