"""Checkpoints: finding, hashing and loading them, with proof that the weights read are the model's.

Modules: `model` (what a checkpoint is), `find`, `hub`, `weights` (which files hold the weights),
`json_file` and `config_file` (faults of the JSON files), `identity`, `tokenizer`, `load`, `proof`,
`finite`, `quantise`, `quantised` (weights that are quantised in their files), `adapter`, `size`,
`device`, `disk` and `messages`.
"""

from kdbench.checkpoint.config_file import check_sizes, read_config
from kdbench.checkpoint.device import pick_device
from kdbench.checkpoint.disk import disk_bytes
from kdbench.checkpoint.find import (
    check_checkpoint,
    describe,
    find_checkpoint,
    is_hub_name,
    served_model,
    why_not_cached,
)
from kdbench.checkpoint.json_file import read_object
from kdbench.checkpoint.load import load_checkpoint, prove_checkpoint
from kdbench.checkpoint.messages import one_line
from kdbench.checkpoint.model import Checkpoint
from kdbench.checkpoint.quantise import Quantisation, check_quantisable, check_quantisation
from kdbench.checkpoint.quantised import check_readable, describe_weights, quantised_format
from kdbench.checkpoint.size import count_parameters, loaded_bytes, loaded_parameters
from kdbench.checkpoint.tokenizer import load_tokenizer

__all__ = [
    "Checkpoint",
    "Quantisation",
    "check_checkpoint",
    "check_quantisable",
    "check_quantisation",
    "check_readable",
    "check_sizes",
    "count_parameters",
    "describe",
    "describe_weights",
    "disk_bytes",
    "find_checkpoint",
    "is_hub_name",
    "load_checkpoint",
    "load_tokenizer",
    "loaded_bytes",
    "loaded_parameters",
    "one_line",
    "pick_device",
    "prove_checkpoint",
    "quantised_format",
    "read_config",
    "read_object",
    "served_model",
    "why_not_cached",
]
