"""Tiny models whose heads have more columns than there are tokens."""

import torch


def wide_model(vocabulary, padding=0):
    """A GPT-2 whose head is padded with columns of garbage beyond the vocabulary."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    sizes = {"n_embd": 8, "n_layer": 2, "n_head": 2, "n_positions": 16}
    ends = {"bos_token_id": 0, "eos_token_id": 0}
    narrow = GPT2LMHeadModel(GPT2Config(vocab_size=vocabulary, **sizes, **ends)).eval()
    if not padding:
        return narrow
    wide = GPT2LMHeadModel(GPT2Config(vocab_size=vocabulary + padding, **sizes, **ends)).eval()
    weights = dict(narrow.state_dict())
    for name in ("transformer.wte.weight", "lm_head.weight"):
        weights[name] = torch.cat([weights[name], 5 * torch.randn(padding, 8)])
    wide.load_state_dict(weights)
    return wide
