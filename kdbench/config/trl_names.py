"""Arguments of TRL's `DistillationTrainer` that are no key of `kdbench train`, and what to do.

Those that have another name here are in `kdbench.config.other_names`; docs/trl.md has all of them.
"""

_VLLM = (
    "rollout_backend=vllm has vLLM generate the student's samples, with its settings in "
    "rollout_backend_options= and a server in rollout_server=; docs/rollouts.md"
)
_SAMPLING = "student samples are drawn with sampling_temperature= and sampling_top_p= alone"
_SAMPLES = (
    "samples of training are not logged; validation scores validation_samples= of them, and "
    "kdbench eval keeps all"
)
_MODEL = (
    "each setting has a key, as precision= and trust_remote_code=; a revision is part of the name, "
    "as in student=org/name@revision"
)
_PROCESSES = "start several processes with torchrun or accelerate launch, which have this setting"

WITHOUT_KEY = {
    "adam_epsilon": "it is 1e-8, as in TRL",
    "cache_implementation": "leave it out; generation chooses its cache",
    "callbacks": "a method, metric or logger of your own is a plug-in: plugins= and report_to=",
    "ddp_find_unused_parameters": _PROCESSES,
    "ds3_gather_for_generation": "leave it out; sharded weights are gathered while responses are "
    "generated",
    "generation_kwargs": _SAMPLING,
    "log_completions": _SAMPLES,
    "log_unique_prompts": _SAMPLES,
    "lr_scheduler_kwargs": "lr_schedule=cosine ends at min_learning_rate=",
    "max_tool_calling_iterations": "tools are not supported; train on conversations with "
    "train_format=chat",
    "min_p": _SAMPLING,
    "model_init_kwargs": _MODEL,
    "num_completions_to_print": _SAMPLES,
    "optim": "the optimiser is AdamW",
    "pad_to_multiple_of": "leave it out; only the loss is padded, where it is compiled",
    "processing_class": "leave it out; the tokenizer is the student's, and end_token= its end",
    "push_to_hub": "publish a student with kdbench push",
    "quantization_config": "pass student_quantization=4bit or 8bit with lora_rank=, and "
    "teacher_quantization= for the teacher",
    "remove_unused_columns": "leave it out; a method may read any field of a row",
    "repetition_penalty": _SAMPLING,
    "resume_from_checkpoint": "run the same command again, and it resumes",
    "save_total_limit": "leave it out; only the last state and the best student are kept",
    "shuffle_dataset": "leave it out; each epoch is shuffled, in an order that seed= decides",
    "teacher_model_init_kwargs": "each setting has a key, as teacher_dtype=; a revision is part of "
    "the name, as in teacher=org/name@revision",
    "teacher_model_revision": "a revision is part of the name, as in teacher=org/name@revision",
    "tools": "tools are not supported; train on conversations with train_format=chat",
    "top_k": _SAMPLING,
    **dict.fromkeys(
        (
            "use_vllm",
            "vllm_enable_sleep_mode",
            "vllm_gpu_memory_utilization",
            "vllm_group_port",
            "vllm_max_model_length",
            "vllm_mode",
            "vllm_model_impl",
            "vllm_server_base_url",
            "vllm_server_host",
            "vllm_server_port",
            "vllm_server_timeout",
            "vllm_structured_outputs_regex",
            "vllm_tensor_parallel_size",
        ),
        _VLLM,
    ),
}
