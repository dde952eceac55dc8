"""A small random model of every causal-LM class of transformers."""

from typing import Any

import torch
import transformers
from transformers import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

V = 64
_MOST_PARAMETERS = 1e7

# Sizes, with the names that configurations have for them.
_NAMES_OF_SIZES = {
    32: "hidden_size d_model n_embd embed_dim dim emb_dim word_embed_proj_dim embedding_size "
    "hidden_dim lru_width attention_hidden_size input_embedding_size output_embedding_size "
    "shared_intermediate_size",
    2: "num_layers decoder_layers encoder_layers num_decoder_layers num_hidden_layers n_layer "
    "n_layers num_key_value_heads multi_query_group_num num_experts_per_tok n_head_kv "
    "num_experts_per_token moe_k moe_topk top_k_experts linear_num_key_heads n_mamba_heads "
    "experts_per_token num_experts_per_topk",
    1: "num_mem_blocks n_shared_experts num_shared_experts n_group topk_group num_expert_group "
    "mamba_n_groups n_groups first_k_dense_replace mamba_ngroups num_dense_layers",
    4: "num_attention_heads n_head n_heads num_heads decoder_attention_heads linear_num_heads "
    "encoder_attention_heads num_query_heads num_experts num_local_experts n_routed_experts "
    "moe_num_experts linear_num_value_heads mamba_d_conv time_step_rank num_query_groups "
    "rotary_dim mamba_dt_rank index_n_heads o_groups hc_lowrank",
    48: "intermediate_size n_inner ffn_dim d_ff decoder_ffn_dim encoder_ffn_dim ffn_hidden_size "
    "intermediate_size_mlp",
    24: "moe_intermediate_size shared_expert_intermediate_size expert_ffn_hidden_size "
    "moe_shared_expert_intermediate_size",
    8: "head_dim kv_channels v_head_dim qk_nope_head_dim qk_rope_head_dim d_kv state_size "
    "mamba_d_state mamba_d_head mamba_n_heads mamba_num_heads mamba_head_dim linear_head_dim "
    "linear_key_head_dim linear_value_head_dim attention_chunk_size chunk_size "
    "mamba_chunk_size index_head_dim o_lora_rank laurel_rank "
    "hidden_size_per_layer_input router_hidden_size",
    16: "q_lora_rank kv_lora_rank mamba_headdim attention_head_dim adapter_rank",
    64: "d_inner mamba_d_ssm vocab_size vocab_size_per_layer_input",
    128: "max_position_embeddings n_positions n_ctx max_seq_len max_sequence_length seq_length "
    "max_target_positions max_source_positions model_max_length",
    6: "sliding_window attention_window_size window_size local_attention",
}
SMALL = {name: size for size, names in _NAMES_OF_SIZES.items() for name in names.split()}
ENDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
_UNSET = ("pad_token_id", "num_key_value_heads", "head_dim")  # set even where the default is None

# What the rules above do not give.
OVERRIDES: dict[str, dict[str, Any]] = {
    "BambaForCausalLM": {"attn_layer_indices": [1]},
    "BltForCausalLM": {"encoder_hash_byte_group_vocab": 50},
    "CohereCompassForCausalLM": {
        "layer_types": ["sliding_attention", "full_attention"],
        "rope_parameters": {
            kind: {"rope_type": "default", "rope_theta": 1e4}
            for kind in ("sliding_attention", "full_attention")
        },
    },
    "DbrxForCausalLM": {
        "attn_config": {"kv_n_heads": 2, "rope_theta": 1e4, "clip_qkv": 8.0},
        "ffn_config": {"ffn_hidden_size": 48, "moe_num_experts": 4, "moe_top_k": 2},
    },
    "DeepseekV2ForCausalLM": {"num_experts_per_tok": 2},
    "DeepseekV4ForCausalLM": {"head_dim": 16},
    "Dots3NoteForCausalLM": {"head_dim": 8, "shared_experts_intermediate_size": 24},
    "Gemma3nForCausalLM": {
        "num_hidden_layers": 2,
        "intermediate_size": [48, 48],
        "layer_types": ["sliding_attention", "full_attention"],
        "num_kv_shared_layers": 0,
        "activation_sparsity_pattern": [0.0, 0.0],
    },
    "LongcatFlashForCausalLM": {"head_dim": 8},
    "Phi4MultimodalForCausalLM": {"eos_token_id": 2, "original_max_position_embeddings": 128},
    "RoCBertForCausalLM": {
        "pronunciation_embed_dim": 8,
        "pronunciation_vocab_size": 64,
        "shape_embed_dim": 8,
        "shape_vocab_size": 64,
    },
    "XmodForCausalLM": {"default_language": "en_XX"},
    "Dots1ForCausalLM": {"n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2},
    "JambaForCausalLM": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "GraniteMoeHybridForCausalLM": {"layer_types": ["linear_attention", "full_attention"]},
    "Lfm2MoeForCausalLM": {"layer_types": ["conv", "full_attention"]},
    "Mamba2ForCausalLM": {"num_heads": 8},
    "Qwen4ExpForCausalLM": {
        "indexer_budget": 64,
        "indexer_compress_ratio": 4,
        "indexer_head_dim": 8,
        "indexer_n_heads": 4,
        "indexer_kv_heads": 1,
        "ngram_vocab_size_base": 50,
    },
    "RecurrentGemmaForCausalLM": {"num_hidden_layers": 3},
    "ReformerModelWithLMHead": {
        "is_decoder": True,
        "axial_pos_embds": False,
        "local_attn_chunk_length": 8,
        "lsh_attn_chunk_length": 8,
    },
    "ZambaForCausalLM": {
        "num_hidden_layers": 4,
        "attention_hidden_size": 64,
        "layers_block_type": ["linear_attention", "hybrid"] * 2,
    },
    "Zamba2ForCausalLM": {
        "num_key_value_heads": 4,
        "attention_hidden_size": 64,
        "mamba_headdim": 32,
    },
    "ZayaForCausalLM": {"num_experts_per_tok": 1},
}

# Classes that are not built, with the reason.
NOT_BUILT = {
    "Dots3NoteForCausalLM": "no small configuration was found",
    "Gemma3nForConditionalGeneration": "its vision tower needs the package timm",
    "Gemma4AssistantForCausalLM": "it only continues another model's states",
    "Gemma4UnifiedAssistantForCausalLM": "it only continues another model's states",
}
# Classes that are encoders unless a setting says otherwise.
AS_DECODERS = {
    "is_decoder": "BertGenerationDecoder BertLMHeadModel BigBirdForCausalLM CamembertForCausalLM "
    "Data2VecTextForCausalLM ElectraForCausalLM ErnieForCausalLM MegatronBertForCausalLM "
    "RemBertForCausalLM RoCBertForCausalLM RoFormerForCausalLM RobertaForCausalLM "
    "RobertaPreLayerNormForCausalLM XLMRobertaForCausalLM XLMRobertaXLForCausalLM "
    "XmodForCausalLM",
    "causal": "XLMWithLMHeadModel",
}


def variants() -> list[tuple[str, str]]:
    """Every class with the setting that makes it a decoder, or with an empty one."""
    plain = [(name, "") for name in set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values())]
    decoders = [(name, key) for key, names in AS_DECODERS.items() for name in names.split()]
    return sorted(plain + decoders)


def build(name: str, setting: str = "", seed: int = 0) -> Any:
    """A model of a class in float32, in evaluation mode.

    Args:
        name: of the class.
        setting: of its configuration that is set to True, if any.
        seed: of its weights.

    Raises:
        ValueError: the smallest configuration that is known is too large.
    """
    overrides = {setting: True} if setting else {}
    kind = getattr(transformers, name)
    config = tiny_config(name, **overrides)
    with torch.device("meta"):
        size = sum(parameter.numel() for parameter in kind(config).parameters())
    if size > _MOST_PARAMETERS:
        raise ValueError(f"{size:.2g} parameters")
    torch.manual_seed(seed)
    return kind(tiny_config(name, **overrides)).float().eval()


def tiny_config(name: str, **overrides: Any) -> Any:
    """A small configuration of a class; for a model of several kinds of input, of its text part."""
    cls = getattr(transformers, name)
    kind = cls.config_class
    if kind is None:
        kinds = [k for k, v in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.items() if v == name]
        kind = CONFIG_MAPPING[kinds[0]]
    own = {**OVERRIDES.get(name, {}), **overrides}
    base = kind()
    text = _text_of(base)
    parts = {key: value for key, value in vars(base).items() if hasattr(value, "get_text_config")}
    small = {key: _small(part) | (own if part is text else {}) for key, part in parts.items()}
    return kind(**small | (_small(base) | own if text is base else {}))


def _text_of(config: Any) -> Any:
    try:
        text = config.get_text_config(decoder=True)
    except ValueError:
        return config
    return text if any(value is text for value in vars(config).values()) else config


def _small(config: Any) -> dict[str, Any]:
    values = config.to_dict()
    found = {
        name: value
        for name, value in (SMALL | ENDS).items()
        if name in values
        and not isinstance(values[name], list | dict)
        and (values[name] is not None or name in _UNSET)
    }
    if "qk_rope_head_dim" in values:
        found |= {"num_key_value_heads": 4, "attention_hidden_size": 64, "mamba_headdim": 32}
        found.pop("head_dim", None)
    return found | _layers(values)


def _layers(values: dict[str, Any]) -> dict[str, Any]:
    """The first layer of each type, at least two, from every list that has one value a layer."""
    names = ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "decoder_layers")
    counts = [name for name in names if isinstance(values.get(name), int)]
    if not counts:
        return {}
    lists = {
        name: value
        for name, value in values.items()
        if isinstance(value, list) and len(value) == values[counts[0]] > 1
    }
    kinds = list(zip(*lists.values(), strict=True))
    kept = [index for index, kind in enumerate(kinds) if kinds.index(kind) == index]
    if len(kept) == 1:
        kept = [kept[0], len(kinds) - 1]
    found: dict[str, Any] = {name: [value[i] for i in kept] for name, value in lists.items()}
    return found | dict.fromkeys(counts, max(2, len(kept)))


def with_longrope(limit: int) -> Any:
    """A model whose rotary positions change beyond a length."""
    config = transformers.Phi3Config(
        vocab_size=V,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        original_max_position_embeddings=limit,
        pad_token_id=0,
        rope_parameters={
            "rope_type": "longrope",
            "rope_theta": 1e4,
            "short_factor": [1.0] * 4,
            "long_factor": [2.0, 4.0, 8.0, 16.0],
            "original_max_position_embeddings": limit,
        },
    )
    torch.manual_seed(0)
    return transformers.Phi3ForCausalLM(config).eval()
