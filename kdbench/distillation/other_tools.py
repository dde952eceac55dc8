"""Keys of other training tools, and the keys of kdbench that do the same."""

from collections.abc import Collection

# TRL, transformers, LMOps and DistiLLM. Of several keys, the first that the method has is meant.
_SAME: dict[str, tuple[str, ...]] = {
    "temperature": ("sampling_temperature",),
    "top_p": ("sampling_top_p",),
    "lmbda": ("student_fraction",),
    "beta": ("teacher_weight", "skew"),
    "alpha": ("teacher_weight", "skew", "kd_ratio"),
    "lam": ("teacher_weight", "skew"),
    "lr": ("learning_rate",),
    "lr_scheduler_type": ("lr_schedule",),
    "lr_min": ("min_learning_rate",),
    "adam_beta1": ("beta1",),
    "adam_beta2": ("beta2",),
    "warmup_iters": ("warmup_steps",),
    "clip_grad": ("max_grad_norm",),
    "num_train_epochs": ("epochs",),
    "max_steps": ("steps",),
    "total_iters": ("steps",),
    "per_device_train_batch_size": ("micro_batch_size",),
    "train_batch_size": ("batch_size",),
    "eval_steps": ("validate_every",),
    "eval_interval": ("validate_every",),
    "save_steps": ("save_every",),
    "save_interval": ("save_every",),
    "logging_steps": ("log_every",),
    "log_interval": ("log_every",),
    "output_dir": ("out",),
    "save": ("out",),
    "data_dir": ("data",),
    "model_path": ("student",),
    "model_name_or_path": ("student",),
    "teacher_model_path": ("teacher",),
    "teacher_model_name_or_path": ("teacher",),
    "max_completion_length": ("max_new_tokens",),
    "max_seq_length": ("max_length",),
    "max_prompt_length": ("max_prompt_tokens",),
    "lora_r": ("lora_rank",),
    "lora_target_modules": ("lora_rank",),
    "lm_data_dir": ("pretraining",),
    "eos_token": ("end_token",),
    "tail_mass": ("head_mass",),
    "mu": ("head_mass",),
}
_WITHOUT = {
    "gradient_accumulation_steps": "batch_size= is the whole optimiser step, and "
    "micro_batch_size= the rows of a forward pass; the number of passes follows",
    "deepspeed": "DeepSpeed is not supported; start several processes with torchrun, or pass "
    "lora_rank=",
    "fsdp": "FSDP is not supported; start several processes with torchrun, or pass lora_rank=",
    "bf16": "pass precision=bfloat16",
    "fp16": "float16 is not supported in training; pass precision=bfloat16",
}


def of_other_tools(key: str, known: Collection[str]) -> str | None:
    """What to do instead of another tool's key.

    Args:
        key: The unknown key.
        known: The keys of the method and of every method.

    Returns:
        The end of an error line; None if no tool has the key.
    """
    if key in _WITHOUT:
        return _WITHOUT[key]
    same = next((name for name in _SAME.get(key, ()) if name in known), None)
    return f"here it is {same}=" if same else None
