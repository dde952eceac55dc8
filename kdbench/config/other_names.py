"""What kdbench calls the keys and verbs of other tools, for the errors about unknown ones."""

from collections.abc import Collection
from typing import NamedTuple

from kdbench.config.trl_names import WITHOUT_KEY
from kdbench.errors import nearest


class SameKey(NamedTuple):
    """The key of kdbench that does what a key of another tool does.

    Attributes:
        keys: Names here; the first that the command has is meant.
        reason: What the reader should know about it; empty if the two are equal.
    """

    keys: tuple[str, ...]
    reason: str = ""


_PER_DEVICE = "the whole optimiser step; micro_batch_size= is a forward pass"
_CHECKPOINT = SameKey(("model", "student"))
_OF_TEACHER = SameKey(("teacher",))
_SAMPLES = SameKey(("seeds",), "one response per seed, as in seeds=1-8")
_DATA = SameKey(("data",))
_OUT = SameKey(("out", "results"))
_LOSS_WEIGHT = ("teacher_weight", "skew", "kd_ratio")

# transformers, TRL, LMOps, DistiLLM; lm-eval, lighteval, vLLM and the OpenAI client.
_SAME: dict[str, SameKey] = {
    "adam_beta1": SameKey(("beta1",)),
    "adam_beta2": SameKey(("beta2",)),
    "alpha": SameKey(_LOSS_WEIGHT),
    "apply_chat_template": SameKey(("protocol", "train_format"), "chat, as in protocol=chat"),
    "base_model": SameKey(("student", "model")),
    "beta": SameKey(_LOSS_WEIGHT),
    "bs": SameKey(("batch_size",)),
    "bsz": SameKey(("batch_size",)),
    "checkpoint": _CHECKPOINT,
    "ckpt": _CHECKPOINT,
    "clip_grad": SameKey(("max_grad_norm",)),
    "data_dir": _DATA,
    "data_path": _DATA,
    "data_seed": SameKey(("seed",), "it decides the order of the data too"),
    "dataset": SameKey(("train_set", "tasks")),
    "dataset_name": SameKey(("train_set", "tasks")),
    "disable_dropout": SameKey(("dropout",), "dropout=false turns it off"),
    "eos_token": SameKey(("end_token",)),
    "epoch": SameKey(("epochs",)),
    "eval_dataset": SameKey(("valid_set",)),
    "eval_interval": SameKey(("validate_every",)),
    "eval_steps": SameKey(("validate_every",)),
    "gen_kwargs": SameKey(
        ("max_new_tokens",), "each setting has a key, as temperature= and top_p="
    ),
    "lam": SameKey(_LOSS_WEIGHT),
    "limit_samples": SameKey(("limit",)),
    "lm_data_dir": SameKey(("pretraining",)),
    "lmbda": SameKey(("student_fraction",)),
    "load_best_model_at_end": SameKey(("select",), "select=rougeL or loss keeps the best student"),
    "load_in": SameKey(("dtype", "precision")),
    "log_interval": SameKey(("log_every",)),
    "log_samples": SameKey(("results",), "samples are always kept there"),
    "logging_steps": SameKey(("log_every",)),
    "lora_r": SameKey(("lora_rank",)),
    "lora_target_modules": SameKey(("lora_rank",), "the adapter is on all linear layers"),
    "lr": SameKey(("learning_rate",)),
    "lr_min": SameKey(("min_learning_rate",)),
    "lr_scheduler_type": SameKey(("lr_schedule",)),
    "max_completion_length": SameKey(("max_new_tokens",)),
    "max_gen_toks": SameKey(("max_new_tokens", "new_tokens")),
    "max_new_tokens": SameKey(("new_tokens",)),
    "max_output_tokens": SameKey(("max_new_tokens", "new_tokens")),
    "max_prompt_length": SameKey(("max_prompt_tokens",)),
    "max_samples": SameKey(("limit",)),
    "max_seq_length": SameKey(("max_length",)),
    "max_steps": SameKey(("steps",)),
    "max_tokens": SameKey(("max_new_tokens", "new_tokens")),
    "metric_for_best_model": SameKey(("select",)),
    "model": SameKey(("student", "rows", "run", "new")),
    "model_id": _CHECKPOINT,
    "model_name": _CHECKPOINT,
    "model_name_or_path": SameKey(("student", "model")),
    "model_path": SameKey(("student", "model")),
    "mu": SameKey(("head_mass",)),
    "n_samples": _SAMPLES,
    "num_beams": SameKey(("temperature",), "beam search is not supported; temperature=0 is greedy"),
    "num_epochs": SameKey(("epochs",)),
    "num_return_sequences": _SAMPLES,
    "num_samples": _SAMPLES,
    "num_train_epochs": SameKey(("epochs",)),
    "num_workers": SameKey(("workers",)),
    "out": SameKey(("results",)),
    "output": _OUT,
    "output_dir": _OUT,
    "output_path": _OUT,
    "peft_config": SameKey(("lora_rank",), "the adapter is on all linear layers"),
    "per_device_eval_batch_size": SameKey(("batch_size", "micro_batch_size")),
    "per_device_train_batch_size": SameKey(("batch_size",), _PER_DEVICE),
    "pretrained": _CHECKPOINT,
    "repeats": _SAMPLES,
    "results_dir": SameKey(("results",)),
    "rev": SameKey(("revision",)),
    "run_name": SameKey(("label",)),
    "save": SameKey(("out",)),
    "save_interval": SameKey(("save_every",)),
    "save_steps": SameKey(("save_every",)),
    "seed": SameKey(("seeds",), "sampling seeds, as in seeds=10,20"),
    "seeds": SameKey(("seed",)),
    "set": SameKey(("tasks", "train_set")),
    "split": SameKey(("tasks", "train_set"), "a split is part of the name, as in hf:NAME:SPLIT"),
    "student": SameKey(("model",)),
    "student_model": SameKey(("student", "model")),
    "system_instruction": SameKey(("system",)),
    "system_prompt": SameKey(("system",)),
    "tail_mass": SameKey(("head_mass",)),
    "task": SameKey(("tasks",)),
    "tasks": SameKey(("task",)),
    "teacher_ckpt": _OF_TEACHER,
    "teacher_model": _OF_TEACHER,
    "teacher_model_name_or_path": _OF_TEACHER,
    "teacher_model_path": _OF_TEACHER,
    "temp": SameKey(("temperature", "sampling_temperature")),
    "temperature": SameKey(
        ("sampling_temperature",), "of samples alone; the method kd divides logits by temperature="
    ),
    "threads": SameKey(("workers",)),
    "top_p": SameKey(("sampling_top_p",)),
    "torch_compile": SameKey(("compile_loss",), "the loss alone is compiled"),
    "torch_dtype": SameKey(("dtype", "precision")),
    "total_iters": SameKey(("steps",)),
    "train_batch_size": SameKey(("batch_size",)),
    "train_dataset": SameKey(("train_set",), "a set of data=, or a .jsonl file"),
    "use_cpu": SameKey(("device",), "device=cpu"),
    "use_liger_kernel": SameKey(("compile_loss",), "the loss of every method is compiled"),
    "warmup_iters": SameKey(("warmup_steps",)),
    "wd": SameKey(("weight_decay",)),
}

# What has no key here, and what to do instead; for training, and for every other verb.
_IN_TRAINING = {
    "bf16": "pass precision=bfloat16",
    "deepspeed": "start it with accelerate launch --use_deepspeed; torchrun alone averages "
    "gradients",
    "fp16": "float16 is not supported in training; pass precision=bfloat16",
    "fsdp": "start it with accelerate launch --use_fsdp --fsdp_version 2; torchrun alone averages "
    "gradients",
    "gradient_accumulation_steps": "batch_size= is the whole optimiser step, and "
    "micro_batch_size= the rows of a forward pass; the number of passes follows",
    "grad_accum": "batch_size= is the whole optimiser step, and micro_batch_size= the rows of a "
    "forward pass; the number of passes follows",
    "load_in_4bit": "pass student_quantization=4bit with lora_rank=, or teacher_quantization=4bit",
    "load_in_8bit": "pass student_quantization=8bit with lora_rank=, or teacher_quantization=8bit",
    **WITHOUT_KEY,
}
_ELSEWHERE = {
    "bf16": "pass dtype=bfloat16",
    "fp16": "pass dtype=float16",
    "do_sample": "temperature=0 is greedy decoding; any other value samples",
    "fewshot": "the number of examples is a key of a task's YAML file, num_fewshot:",
    "include_path": "tasks= takes the path of a YAML file",
    "model_args": "each setting has a key, as model=, dtype= and revision=",
    "num_fewshot": "the number of examples is a key of a task's YAML file, num_fewshot:",
    "verbosity": "progress is one line on stderr; add 2>/dev/null to hide it",
    "wandb_args": "loggers are for kdbench train: report_to=wandb",
}
_SIMILAR = {"setting", "settings"}
_DIFFERENCE = "setting= names the group of a run; settings= chooses the groups that a table shows"
_TRAINS, _EVALUATES = "train_set", "protocol"  # keys by which the verb is told

_VERBS = {
    "benchmark": "eval",
    "check": "doctor",
    "describe": "show",
    "diff": "compare",
    "distil": "train",
    "distill": "train",
    "evaluate": "eval",
    "finetune": "train",
    "gate": "regress",
    "generate": "eval",
    "info": "show",
    "inspect": "show",
    "latency": "speed",
    "leaderboard": "table",
    "list": "ls",
    "measure": "eval",
    "plot": "report",
    "results": "ls",
    "run": "eval",
    "runs": "ls",
    "sft": "train",
    "test": "eval",
    "throughput": "speed",
    "validate": "doctor",
}


def advice(key: str, known: Collection[str]) -> str:
    """The end of an error about an unknown key: what to write instead.

    Args:
        key: The unknown key.
        known: The keys of the command.
    """
    if known_advice := _of_other_tools(key, known):
        return known_advice
    note = f" {_DIFFERENCE}" if key in _SIMILAR and not _SIMILAR.isdisjoint(known) else ""
    return nearest(key, known) + note


def nearest_verb(verb: str, known: Collection[str]) -> str:
    """The end of an error about an unknown verb: the one that is meant, or all of them."""
    meant = _VERBS.get(verb.lower())
    return f"did you mean '{meant}'?" if meant in known else nearest(verb, known)


def _of_other_tools(key: str, known: Collection[str]) -> str | None:
    without = _IN_TRAINING if _TRAINS in known else _ELSEWHERE if _EVALUATES in known else {}
    if key in without:
        return without[key]
    same = _SAME.get(key)
    name = next((name for name in same.keys if name in known), None) if same else None
    if same is not None and name is None and _EVALUATES in known and _trains_with(same.keys[0]):
        return f"{same.keys[0]}= is a key of kdbench train"
    if same is None or name is None:
        return None
    return f"here it is {name}=" + (f" ({same.reason})" if same.reason else "")


def _trains_with(key: str) -> bool:
    from kdbench.config.train import TrainSettings

    return key in TrainSettings.model_fields
