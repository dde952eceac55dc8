"""GGUF files of toy models, written with the gguf package."""

import json
from pathlib import Path

import numpy as np


def write_gguf(gguf, model, folder: Path, file: Path, kind: str | None = None) -> None:  # type: ignore[no-untyped-def]
    """Write a toy model as a GGUF file.

    Args:
        gguf: The gguf package.
        model: The model.
        folder: Folder of its tokenizer.
        file: The file to write.
        kind: How matrices are quantised, such as `Q8_0`; None leaves float32.
    """

    def put(name: str, array: np.ndarray) -> None:
        if kind is None or array.ndim < 2:
            writer.add_tensor(name, array)
            return
        raw = gguf.GGMLQuantizationType[kind]
        writer.add_tensor(name, gguf.quants.quantize(array, raw), raw_dtype=raw)

    config = model.config
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(config.vocab_size)
    content = json.loads((folder / "tokenizer.json").read_text())
    tokenizer = content["model"]
    ids = tokenizer["vocab"] | {token["content"]: token["id"] for token in content["added_tokens"]}
    tokens = sorted(ids, key=ids.get)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_merges([" ".join(pair) for pair in tokenizer["merges"]])
    writer.add_bos_token_id(config.bos_token_id)
    writer.add_eos_token_id(config.eos_token_id)
    writer.add_unk_token_id(config.pad_token_id)  # else transformers adds a token of its own
    names = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k"}
    names |= {"self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output"}
    names |= {"mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}
    names |= {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
    for key, value in model.state_dict().items():
        array = value.float().numpy()
        if key.startswith("model.layers."):
            _, _, index, weight = key.removesuffix(".weight").split(".", 3)
            if names[weight] in ("attn_q", "attn_k"):  # llama.cpp interleaves rotary halves
                heads = config.num_attention_heads
                array = array.reshape(heads, 2, -1, array.shape[1]).swapaxes(1, 2)
                array = array.reshape(value.shape).copy()
            put(f"blk.{index}.{names[weight]}.weight", array)
        elif key == "model.embed_tokens.weight":
            put("token_embd.weight", array)
        elif key == "model.norm.weight":
            put("output_norm.weight", array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
