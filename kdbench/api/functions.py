"""The signatures of the public functions. Made by tests/helpers/api_functions.py."""

# mypy: disable-error-code="empty-body"

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal

from kdbench.api.keyed import HasRows, Rows, keyed

if TYPE_CHECKING:
    from kdbench.builders.workshop.build import Built
    from kdbench.comparing.model import Comparison
    from kdbench.comparing.plan import AnyPlan
    from kdbench.comparing.regress import GateResult
    from kdbench.distillation.keeping import KeptScores
    from kdbench.distillation.train import Trained
    from kdbench.fidelity.plain.compare import TextComparison
    from kdbench.filling.filled import Filled
    from kdbench.filling.mechanism_table import MechanismTable
    from kdbench.frontiers.table import Frontier
    from kdbench.judging.work import JudgedRun
    from kdbench.measuring.measurement import Evaluation
    from kdbench.serving.speed import SpeedMeasurement
    from kdbench.site import Report
    from kdbench.tables import Table


@keyed
def evaluate(
    model: str | PathLike[str],
    *,
    revision: str | None = None,
    card: str | PathLike[str] | None = None,
    teacher: str | PathLike[str] | None = None,
    teacher_revision: str | None = None,
    teacher_name: str | None = None,
    undistilled: str | PathLike[str] | None = None,
    undistilled_name: str | None = None,
    teacher_cache: str | PathLike[str] | None = None,
    cache_top_k: int = 64,
    teacher_scores: Literal["model", "engine"] = "model",
    token_details: bool = True,
    teacher_api: Literal["vllm", "sglang", "openai"] | None = None,
    teacher_model: str | None = None,
    teacher_field: str | None = None,
    teacher_tokenizer: str | None = None,
    teacher_check: str | None = None,
    teacher_concurrency: int = 8,
    teacher_timeout: float = 120,
    teacher_budget: int | None = None,
    teacher_key_env: str | None = None,
    data: str | PathLike[str] | None = None,
    limit: int | None = None,
    run_code: str | Sequence[str] = (),
    tasks: str
    | PathLike[str]
    | Sequence[str | PathLike[str] | Mapping[str, Any]]
    | HasRows
    | Mapping[str, Rows] = ("dolly", "self_instruct", "vicuna", "super_natural", "unnatural"),
    protocol: str = "minillm",
    max_prompt_tokens: int | None = None,
    max_new_tokens: int | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    top_k: int | None = None,
    no_repeat_ngram_size: int | None = None,
    add_bos: bool | None = None,
    seeds: int | str | Sequence[int] | None = None,
    chat_template: str | None = None,
    chat_template_kwargs: str | Mapping[str, Any] | None = None,
    system: str | None = None,
    thinking: Literal["strip", "keep"] | None = None,
    thinking_marks: str | tuple[str, str] | None = None,
    metrics: str | Sequence[str] = (),
    rouge_tokenizer: Literal["rouge", "unicode", "characters"] = "rouge",
    judge: str | PathLike[str] | None = None,
    judge_url: str | None = None,
    judge_key_env: str | None = None,
    judge_against: str | PathLike[str] | None = None,
    judge_prompt: str | PathLike[str] | None = None,
    judge_seeds: int | str | Sequence[int] | None = None,
    judge_limit: int | None = None,
    judge_max_tokens: int = 1024,
    judge_options: str | Mapping[str, Any] = {},
    judge_concurrency: int = 8,
    judge_timeout: float = 120,
    report_to: str | Sequence[str] = (),
    report_group: str | None = None,
    name: str | None = None,
    method: str | None = None,
    setting: str | None = None,
    results: str | PathLike[str] = "results",
    quantization: Literal["8bit", "4bit"] | None = None,
    teacher_quantization: Literal["8bit", "4bit"] | None = None,
    backend: str = "hf",
    backend_options: str | Mapping[str, Any] = {},
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
    device: str = "auto",
    batch_size: int | Literal["auto"] = "auto",
    shards: int | None = None,
    executor: str = "local",
    executor_options: str | Mapping[str, Any] = {},
    plugins: str | PathLike[str] | Sequence[str | PathLike[str]] = (),
    storage_options: str | Mapping[str, Any] = {},
    work: str | PathLike[str] | None = None,
    shard: str | None = None,
    unsafe_pickle: bool = False,
    trust_remote_code: bool = False,
) -> "Evaluation":
    """Measure a checkpoint, and compare it with its teacher.

    The keys are those of `kdbench eval --help`.

    Args:
        model: Checkpoint folder, GGUF file, or model on the Hub: org/name or org/name@revision.
        revision: Branch, tag or commit of a model on the Hub.
        card: Card of a checkpoint that another tool trained (default: kdbench.yaml next to the
            weights).
        teacher: Teacher to compare with: a checkpoint, cache:DIR for stored scores, or the address
            of a server, http://…; adds the fidelity metrics.
        teacher_revision: Branch, tag or commit of a teacher on the Hub.
        teacher_name: Teacher's name in results and tables (default: its folder's name).
        undistilled: Checkpoint of the student before distillation, which sets the floor of
            fidelity.
        undistilled_name: Undistilled student's name in results and tables (default: its folder's
            name).
        teacher_cache: Folder in which to store the teacher's scores, for a later teacher=cache:DIR.
        cache_top_k: Number of most likely tokens stored per position, or requested from the engine
            with teacher_scores=engine, or from the teacher's server.
        teacher_scores: Source of the teacher's scores: the loaded model (exact), or the top
            cache_top_k tokens from the backend's engine (bounds).
        token_details: Whether to store the acceptance and the teacher's likeliest tokens at each
            token of the student's responses; does not affect the results.
        teacher_api: API of the teacher's server: vllm (prompt_logprobs), sglang (/generate) or
            openai (echo and logprobs) (default: what its list of models shows).
        teacher_model: Name of the teacher on its server; by tag, as in math=NAME,code=NAME, for
            several (default: the server's only model).
        teacher_field: Column of the training rows that names the teacher of each, with several
            teachers as in teacher=math=http://…,code=http://… (default: domain).
        teacher_tokenizer: Folder or model on the Hub with the teacher's tokenizer (default: the
            student's, which the server must share).
        teacher_check: Checkpoint whose log-probabilities the server's must equal at the start, up
            to rounding.
        teacher_concurrency: Number of requests to the teacher's server at once.
        teacher_timeout: Seconds to wait for the teacher's server.
        teacher_budget: Number of tokens that this command may send to the teacher's server
            (default: no limit).
        teacher_key_env: Name of the environment variable that holds the key of the teacher's
            server.
        data: Folder of the data sets (default: $KDBENCH_DATA, else the Hub).
        limit: Number of documents to use, from the start of each task.
        run_code: Tasks that may run code that the model wrote, on this machine, by name; sets
            HF_ALLOW_CODE_EVAL=1.
        tasks: Task names, lm-eval YAML files, lm_eval:NAME for lm-eval's own, or prompts:
            FILE.jsonl, .json, .csv, .tsv or .parquet, or hf:NAME:SPLIT of a data set. Or rows of
            prompts, or a mapping of names to such rows.
        protocol: Named protocol: minillm, greedy or chat; see kdbench protocols.
        max_prompt_tokens: Prompt length limit, in tokens; longer prompts are cut, none for no cut
            (default: the protocol's, as for the keys below).
        max_new_tokens: Response length limit, in tokens.
        temperature: Sampling temperature; 0 is greedy decoding.
        top_p: Probability mass of nucleus sampling; 1 turns it off.
        top_k: Number of most likely tokens to sample from; 0 turns it off.
        no_repeat_ngram_size: Length of n-grams that may not repeat, in tokens; 0 turns the rule
            off.
        add_bos: Whether the BOS token precedes the prompt.
        seeds: Sampling seeds, as in 10,20,30 or 1-16.
        chat_template: Chat template for protocol=chat: a file, or the name of one of the
            tokenizer's (default: the tokenizer's default).
        chat_template_kwargs: Variables of the chat template, as in enable_thinking=false.
        system: System turn of the prompts for protocol=chat: a text, or @FILE.
        thinking: Whether the thinking, up to the model's end-of-thinking mark, is scored: strip
            leaves it out of the answer (the default), keep scores the whole response.
        thinking_marks: Marks around the thinking, as in <think>,</think> (default: those that the
            tokenizer and the chat template are known to have).
        metrics: Metrics to compute, by name, or all, or headline (default: headline).
        rouge_tokenizer: What ROUGE-L compares: rouge (stemmed words of a-z and 0-9, as in papers),
            unicode (words of any script) or characters; the metric is then called rougeL[…].
        judge: Model that judges the responses: openai:MODEL on a server with OpenAI's API, or a
            checkpoint.
        judge_url: Address of the judge's server, as in http://localhost:8000/v1 (default:
            OpenAI's).
        judge_key_env: Name of the environment variable that holds the server's key (default:
            OPENAI_API_KEY for OpenAI's own address, no key elsewhere).
        judge_against: What the responses are compared with, in both orders: reference, teacher, or
            another run, by folder or by model in results= (default: they are graded instead).
        judge_prompt: Jinja template of the judge's prompt (default: a bundled one).
        judge_seeds: Seeds of the samples to judge (default: all of the run).
        judge_limit: Number of documents to judge, from the start of each task (default: all).
        judge_max_tokens: Length limit of the judge's reply, in tokens.
        judge_options: Further fields of a request to the server, as in reasoning_effort=low; none
            leaves a field out, as in temperature=none.
        judge_concurrency: Number of requests that are sent to the server at once.
        judge_timeout: Seconds to wait for the server's reply.
        report_to: Experiment trackers to log to: wandb, mlflow, tensorboard, trackio.
        report_group: Group of the runs in the trackers (default: none; fill: the table's title).
        name: Model's name in results and tables (default: its folder's or file's).
        method: Row label in tables, such as GKD (default: the run card's, else the name).
        setting: Setting that the run belongs to; a table groups the rows of one setting (default:
            the run card's).
        results: Folder of the results.
        quantization: Load the model's weights in 8 or 4 bits, with bitsandbytes; part of the run's
            identity.
        teacher_quantization: Load the teacher's weights in 8 or 4 bits, with bitsandbytes.
        backend: Generation backend; see kdbench backends.
        backend_options: Options of the backend, as in tensor_parallel_size=2,max_model_len=1024.
        dtype: Number format of weights and activations; auto is the checkpoint's.
        device: Device: auto, cpu, cuda, cuda:1 or mps.
        batch_size: Number of sequences that decode at once.
        shards: Number of processes that share the documents; each takes a GPU where there are
            several, and its share of the cores.
        executor: Where they run: local (this machine), ray or slurm.
        executor_options: Options of the executor, as in partition=gpu,time=240.
        plugins: Python files that register metrics, methods, backends, builders, analyses or
            prompts; they run when they are loaded, so name only files that you trust.
        storage_options: Options of fsspec for a folder that is a URL, as in endpoint_url=https://…;
            better keep passwords in the environment.
        work: Folder of the local copies of folders that are URLs (default: $KDBENCH_REMOTE_CACHE,
            else the user's cache).
        shard: Share of the documents to process, I/N: every N-th document, starting at I.
        unsafe_pickle: Permission to read pickle weights (*.bin), which can run code.
        trust_remote_code: Permission to run Python code that comes with the checkpoint.

    Returns:
        The run's folder, and its results by task.

    Raises:
        InputError: Anything about model, data, tasks or settings that the caller can fix.
    """


@keyed
def score(
    *,
    samples: str | PathLike[str] | None = None,
    task: str | PathLike[str] | None = None,
    run: str | PathLike[str] | None = None,
    data: str | PathLike[str] | None = None,
    limit: int | None = None,
    run_code: str | Sequence[str] = (),
    protocol: str = "external",
    max_prompt_tokens: int | None = None,
    max_new_tokens: int | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    top_k: int | None = None,
    no_repeat_ngram_size: int | None = None,
    add_bos: bool | None = None,
    seeds: int | str | Sequence[int] | None = None,
    chat_template: str | None = None,
    chat_template_kwargs: str | Mapping[str, Any] | None = None,
    system: str | None = None,
    thinking: Literal["strip", "keep"] | None = None,
    thinking_marks: str | tuple[str, str] | None = None,
    metrics: str | Sequence[str] = (),
    rouge_tokenizer: Literal["rouge", "unicode", "characters"] = "rouge",
    name: str | None = None,
    method: str | None = None,
    setting: str | None = None,
    results: str | PathLike[str] = "results",
    plugins: str | PathLike[str] | Sequence[str | PathLike[str]] = (),
) -> "Evaluation":
    """Score texts made elsewhere, or score a stored run again.

    The keys are those of `kdbench score --help`.

    Args:
        samples: JSONL file of samples, one object per line: id, output, seed.
        task: Task that the samples answer: a name, an lm-eval YAML file, or prompts such as
            FILE.jsonl.
        run: Stored run to score again, instead of samples=: run folder, or model in results=.
        data: Folder of the data sets (default: $KDBENCH_DATA, else the Hub).
        limit: Number of documents to use, from the start of each task.
        run_code: Tasks that may run code that the model wrote, on this machine, by name; sets
            HF_ALLOW_CODE_EVAL=1.
        protocol: Protocol that the texts were made with; external is an unknown one.
        max_prompt_tokens: Prompt length limit, in tokens; longer prompts are cut, none for no cut
            (default: the protocol's, as for the keys below).
        max_new_tokens: Response length limit, in tokens.
        temperature: Sampling temperature; 0 is greedy decoding.
        top_p: Probability mass of nucleus sampling; 1 turns it off.
        top_k: Number of most likely tokens to sample from; 0 turns it off.
        no_repeat_ngram_size: Length of n-grams that may not repeat, in tokens; 0 turns the rule
            off.
        add_bos: Whether the BOS token precedes the prompt.
        seeds: Sampling seeds, as in 10,20,30 or 1-16.
        chat_template: Chat template for protocol=chat: a file, or the name of one of the
            tokenizer's (default: the tokenizer's default).
        chat_template_kwargs: Variables of the chat template, as in enable_thinking=false.
        system: System turn of the prompts for protocol=chat: a text, or @FILE.
        thinking: Whether the thinking, up to the model's end-of-thinking mark, is scored: strip
            leaves it out of the answer (the default), keep scores the whole response.
        thinking_marks: Marks around the thinking, as in <think>,</think> (default: those that the
            tokenizer and the chat template are known to have).
        metrics: Metrics to compute, by name, or all, or headline (default: headline).
        rouge_tokenizer: What ROUGE-L compares: rouge (stemmed words of a-z and 0-9, as in papers),
            unicode (words of any script) or characters; the metric is then called rougeL[…].
        name: Model's name in results and tables (default: its folder's or file's).
        method: Row label in tables, such as GKD (default: the run card's, else the name).
        setting: Setting that the run belongs to; a table groups the rows of one setting (default:
            the run card's).
        results: Folder of the results.
        plugins: Python files that register metrics, methods, backends, builders, analyses or
            prompts; they run when they are loaded, so name only files that you trust.

    Returns:
        The run's folder, and its results by task.

    Raises:
        InputError: Anything about samples, data or settings that the caller can fix.
    """


@keyed
def judge(
    run: str | PathLike[str],
    judge_against: str | PathLike[str] | None = None,
    *,
    results: str | PathLike[str] = "results",
    data: str | PathLike[str] | None = None,
    tasks: str
    | PathLike[str]
    | Sequence[str | PathLike[str] | Mapping[str, Any]]
    | HasRows
    | Mapping[str, Rows] = (),
    run_code: str | Sequence[str] = (),
    judge: str | PathLike[str] | None = None,
    judge_url: str | None = None,
    judge_key_env: str | None = None,
    judge_prompt: str | PathLike[str] | None = None,
    judge_seeds: int | str | Sequence[int] | None = None,
    judge_limit: int | None = None,
    judge_max_tokens: int = 1024,
    judge_options: str | Mapping[str, Any] = {},
    judge_concurrency: int = 8,
    judge_timeout: float = 120,
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
    device: str = "auto",
    batch_size: int | Literal["auto"] = "auto",
    plugins: str | PathLike[str] | Sequence[str | PathLike[str]] = (),
    unsafe_pickle: bool = False,
    trust_remote_code: bool = False,
) -> "JudgedRun":
    """Have a model grade a stored run's responses, or compare two runs.

    The keys are those of `kdbench judge --help`.

    Args:
        run: Run whose responses are judged: run folder, or model in results=.
        judge_against: What the responses are compared with, in both orders: reference, teacher, or
            another run, by folder or by model in results= (default: they are graded instead).
        results: Folder of the results.
        data: Folder of the data sets (default: $KDBENCH_DATA, else the Hub).
        tasks: Tasks to judge: names, or paths of their files (default: all of the run). Or rows of
            prompts, or a mapping of names to such rows.
        run_code: Tasks to judge that run code that the model wrote.
        judge: Model that judges the responses: openai:MODEL on a server with OpenAI's API, or a
            checkpoint.
        judge_url: Address of the judge's server, as in http://localhost:8000/v1 (default:
            OpenAI's).
        judge_key_env: Name of the environment variable that holds the server's key (default:
            OPENAI_API_KEY for OpenAI's own address, no key elsewhere).
        judge_prompt: Jinja template of the judge's prompt (default: a bundled one).
        judge_seeds: Seeds of the samples to judge (default: all of the run).
        judge_limit: Number of documents to judge, from the start of each task (default: all).
        judge_max_tokens: Length limit of the judge's reply, in tokens.
        judge_options: Further fields of a request to the server, as in reasoning_effort=low; none
            leaves a field out, as in temperature=none.
        judge_concurrency: Number of requests that are sent to the server at once.
        judge_timeout: Seconds to wait for the server's reply.
        dtype: Number format of weights and activations; auto is the checkpoint's.
        device: Device: auto, cpu, cuda, cuda:1 or mps.
        batch_size: Number of sequences that decode at once.
        plugins: Python files that register metrics, methods, backends, builders, analyses or
            prompts; they run when they are loaded, so name only files that you trust.
        unsafe_pickle: Permission to read pickle weights (*.bin), which can run code.
        trust_remote_code: Permission to run Python code that comes with the checkpoint.

    Returns:
        The run's folder, and its results by task with the judge's metrics.

    Raises:
        InputError: Anything about run, judge, data or settings that the caller can fix.
    """


@keyed
def speed(
    model: str | PathLike[str],
    *,
    revision: str | None = None,
    card: str | PathLike[str] | None = None,
    prompt_tokens: int = 256,
    new_tokens: int = 128,
    concurrency: int | str | Sequence[int] = (1, 8),
    requests: int = 16,
    repeats: int = 3,
    results: str | PathLike[str] = "results",
    name: str | None = None,
    again: bool = False,
    backend: str = "hf",
    backend_options: str | Mapping[str, Any] = {},
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
    device: str = "auto",
    plugins: str | PathLike[str] | Sequence[str | PathLike[str]] = (),
    unsafe_pickle: bool = False,
    trust_remote_code: bool = False,
) -> "SpeedMeasurement":
    """Time a model under a stated load: speed and latency.

    The keys are those of `kdbench speed --help`.

    Args:
        model: Checkpoint folder, GGUF file, or model on the Hub: org/name or org/name@revision.
        revision: Branch, tag or commit of a model on the Hub.
        card: Card of a checkpoint that another tool trained (default: kdbench.yaml next to the
            weights).
        prompt_tokens: Length of each prompt, in tokens.
        new_tokens: Length of each response, in tokens; end tokens are ignored.
        concurrency: Numbers of requests at a time, each measured by itself.
        requests: Number of timed requests of each repeat, rounded up to a multiple of the
            concurrency.
        repeats: Number of repeats, whose spread is reported.
        results: Folder of the results.
        name: Model's name in results and tables (default: its folder's or file's).
        again: Measure again what is stored for the same load.
        backend: Generation backend; see kdbench backends.
        backend_options: Options of the backend, as in tensor_parallel_size=2,max_model_len=1024.
        dtype: Number format of weights and activations; auto is the checkpoint's.
        device: Device: auto, cpu, cuda, cuda:1 or mps.
        plugins: Python files that register metrics, methods, backends, builders, analyses or
            prompts; they run when they are loaded, so name only files that you trust.
        unsafe_pickle: Permission to read pickle weights (*.bin), which can run code.
        trust_remote_code: Permission to run Python code that comes with the checkpoint.

    Returns:
        The speed under each load.

    Raises:
        InputError: Anything about model, backend or settings that the caller can fix.
    """


@keyed
def cache(
    out: str | PathLike[str],
    *,
    teacher: str | PathLike[str] | None = None,
    student: str | PathLike[str] | None = None,
    teacher_dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
    teacher_top_k: int = 64,
    max_error: float = 0.0,
    splits: str | Sequence[str] = ("train",),
    data: str | PathLike[str] | None = None,
    train_set: str | PathLike[str] = "dolly",
    valid_set: str | PathLike[str] | None = None,
    limit: int | None = None,
    validation_limit: int | None = None,
    train_format: Literal["alpaca", "chat", "text"] = "alpaca",
    train_turns: Literal["last", "all"] = "last",
    chat_template: str | None = None,
    chat_template_kwargs: str | Mapping[str, Any] = {},
    system: str | None = None,
    thinking: Literal["strip", "keep"] = "strip",
    thinking_marks: str | tuple[str, str] | None = None,
    add_bos: bool = False,
    end_token: str | None = None,
    max_prompt_tokens: int = 256,
    long_prompts: Literal["drop", "cut"] = "drop",
    max_length: int = 512,
    max_new_tokens: int = 256,
    device: str = "auto",
    micro_batch_size: int | None = None,
    shard: str | None = None,
    shard_mib: int = 64,
    check: bool = False,
    plugins: str | PathLike[str] | Sequence[str | PathLike[str]] = (),
    unsafe_pickle: bool = False,
    trust_remote_code: bool = False,
) -> "KeptScores":
    """Keep a teacher's scores for many runs, or count what is kept.

    The keys are those of `kdbench cache --help`.

    Args:
        out: Folder of the cache, for a later teacher=cache:DIR; without teacher=, what it holds is
            shown.
        teacher: Teacher's checkpoint folder or model on the Hub (org/name or org/name@revision).
        student: Checkpoint whose tokenizer and end token encode the texts (default: the teacher).
        teacher_dtype: Number format of the teacher's weights; auto is bfloat16 on a GPU, else
            float32.
        teacher_top_k: Number of most likely tokens kept per position.
        max_error: Largest error of a stored log-probability, in nats, such as 0.001, for smaller
            files; 0 keeps every bit, as eval needs it.
        splits: Sets whose responses are scored: train, valid or train,valid.
        data: Folder of the data sets (default: $KDBENCH_DATA, else the Hub).
        train_set: Data set to score: its train.jsonl and valid.jsonl in data=, or the path of a
            .jsonl file.
        valid_set: Validation file if train_set= is a file (default: valid.jsonl next to it).
        limit: Number of training examples to score, from the start of the set.
        validation_limit: Number of validation examples to score (default: all).
        train_format: Format of prompts and responses: alpaca (the template of the papers), chat
            (the tokenizer's chat template) or text (as they are).
        train_turns: Turns of the assistant that are learned from a conversation: the last, or all,
            each as an example of its own.
        chat_template: Chat template for train_format=chat: a file, or the name of one of the
            tokenizer's (default: the tokenizer's default).
        chat_template_kwargs: Variables of the chat template, as in enable_thinking=false.
        system: System turn of the prompts for train_format=chat: a text, or @FILE.
        thinking: Whether validation scores the thinking: strip leaves it out of the answer, keep
            does not; training learns the whole response.
        thinking_marks: Marks around the thinking, as in <think>,</think> (default: those that the
            tokenizer and the chat template are known to have).
        add_bos: Whether the BOS token precedes the prompt.
        end_token: Token that ends a response (default: the student's end token).
        max_prompt_tokens: Prompt length limit, in tokens.
        long_prompts: Treatment of examples whose prompt is longer.
        max_length: Length limit of prompt and response together, in tokens.
        max_new_tokens: Length limit of a generated response, in tokens.
        device: Device: auto, cpu, cuda or mps.
        micro_batch_size: Number of texts per forward pass (default: 8).
        shard: Share of the files that this process makes, I/N: every N-th, starting at I (default:
            processes on one disk share the work by themselves).
        shard_mib: MiB of scores in a file, before compression.
        check: Read each file of the cache and check its checksums.
        plugins: Python files that register metrics, methods, backends, builders, analyses or
            prompts; they run when they are loaded, so name only files that you trust.
        unsafe_pickle: Permission to read pickle weights (*.bin), which can run code.
        trust_remote_code: Permission to run Python code that comes with the checkpoints.

    Returns:
        What the cache holds, and what this call added.

    Raises:
        InputError: Anything about models, data or settings that the caller can fix.
    """


@keyed
def kld(
    model: str | PathLike[str],
    *,
    teacher: str | PathLike[str],
    revision: str | None = None,
    teacher_revision: str | None = None,
    quantization: Literal["8bit", "4bit"] | None = None,
    teacher_quantization: Literal["8bit", "4bit"] | None = None,
    text: str | PathLike[str],
    context: int = 512,
    chunks: int | None = None,
    out: str | PathLike[str] | None = None,
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
    device: str = "auto",
    plugins: str | PathLike[str] | Sequence[str | PathLike[str]] = (),
    unsafe_pickle: bool = False,
    trust_remote_code: bool = False,
) -> "TextComparison":
    """Compare a quantised model with its full one over plain text.

    The keys are those of `kdbench kld --help`.

    Args:
        model: Checkpoint folder, GGUF file, or model on the Hub: org/name or org/name@revision.
        teacher: Checkpoint to compare with, such as the full-precision model.
        revision: Branch, tag or commit of a model on the Hub.
        teacher_revision: Branch, tag or commit of a teacher on the Hub.
        quantization: Load the model's weights in 8 or 4 bits, with bitsandbytes.
        teacher_quantization: Load the teacher's weights in 8 or 4 bits, with bitsandbytes.
        text: File of plain text in UTF-8.
        context: Number of tokens in a chunk; the second half of each chunk is compared.
        chunks: Number of chunks to use, from the start of the text (default: all).
        out: JSONL file to store each chunk's values in, from which an interrupted command resumes
            (default: nothing is stored).
        dtype: Number format of weights and activations; auto is the checkpoint's.
        device: Device: auto, cpu, cuda, cuda:1 or mps.
        plugins: Python files that register metrics, methods, backends, builders, analyses or
            prompts; they run when they are loaded, so name only files that you trust.
        unsafe_pickle: Permission to read pickle weights (*.bin), which can run code.
        trust_remote_code: Permission to run Python code that comes with the checkpoint.

    Returns:
        The figures, and the size of both models.

    Raises:
        InputError: Anything about models, text or settings that the caller can fix.
    """


@keyed
def train(
    *,
    method: str | None = None,
    student: str | PathLike[str] | None = None,
    teacher: str | PathLike[str] | None = None,
    teacher_cache: str | PathLike[str] | None = None,
    teacher_top_k: int = 64,
    recipe: str | PathLike[str] | None = None,
    teacher_api: Literal["vllm", "sglang", "openai"] | None = None,
    teacher_model: str | None = None,
    teacher_field: str | None = None,
    teacher_tokenizer: str | None = None,
    teacher_check: str | None = None,
    teacher_concurrency: int = 8,
    teacher_timeout: float = 120,
    teacher_budget: int | None = None,
    teacher_key_env: str | None = None,
    data: str | PathLike[str] | None = None,
    train_set: str | PathLike[str] = "dolly",
    valid_set: str | PathLike[str] | None = None,
    limit: int | None = None,
    pretraining: str | PathLike[str] | None = None,
    pretraining_weight: float = 1.0,
    epochs: float | None = None,
    steps: int | None = None,
    batch_size: int = 32,
    learning_rate: float = 0.0001,
    min_learning_rate: float = 1e-07,
    lr_schedule: Literal["cosine", "linear", "constant", "wsd"] = "cosine",
    warmup_steps: int = 0,
    weight_decay: float = 0.01,
    beta1: float = 0.9,
    beta2: float = 0.999,
    max_grad_norm: float = 1.0,
    dropout: bool = True,
    seed: int = 10,
    router_loss: float = 0.0,
    lora_rank: int = 0,
    lora_alpha: int = 64,
    lora_dropout: float = 0.1,
    train_format: Literal["alpaca", "chat", "text"] = "alpaca",
    train_turns: Literal["last", "all"] = "last",
    chat_template: str | None = None,
    chat_template_kwargs: str | Mapping[str, Any] = {},
    system: str | None = None,
    thinking: Literal["strip", "keep"] = "strip",
    thinking_marks: str | tuple[str, str] | None = None,
    add_bos: bool = False,
    end_token: str | None = None,
    max_prompt_tokens: int = 256,
    long_prompts: Literal["drop", "cut"] = "drop",
    max_length: int = 512,
    max_new_tokens: int = 256,
    sampling_temperature: float = 1.0,
    sampling_top_p: float = 1.0,
    teacher_responses: str | PathLike[str] | None = None,
    generation_batch_size: int | Literal["auto"] = "auto",
    rollout_backend: str = "hf",
    rollout_backend_options: str | Mapping[str, Any] = {},
    rollout_server: str | None = None,
    rollout_lag: int = 0,
    rollout_weight_clip: float = 2.0,
    watch: str | Mapping[str, Any] = {},
    validate_every: int | None = None,
    validation_limit: int | None = None,
    validation_samples: int | None = None,
    select: Literal["rougeL", "loss", "last"] = "rougeL",
    device: str = "auto",
    precision: Literal["auto", "float32", "bfloat16"] = "auto",
    teacher_dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
    teacher_device: str | None = None,
    teacher_offload: bool = False,
    teacher_quantization: Literal["8bit", "4bit"] | None = None,
    student_quantization: Literal["8bit", "4bit"] | None = None,
    micro_batch_size: int | None = None,
    gradient_checkpointing: bool = False,
    compile_loss: bool | Literal["auto"] = "auto",
    chunk_tokens: int | None = None,
    report_to: str | Sequence[str] = (),
    report_group: str | None = None,
    out: str | PathLike[str] | None = None,
    label: str | None = None,
    setting: str | None = None,
    save_every: int | None = None,
    log_every: int = 10,
    plugins: str | PathLike[str] | Sequence[str | PathLike[str]] = (),
    unsafe_pickle: bool = False,
    trust_remote_code: bool = False,
    adaptive_skew: bool | None = None,
    advantage_limit: float | None = None,
    advantage_weight: float | None = None,
    alpha: float | None = None,
    alpha_schedule: Literal["constant", "wsd"] | None = None,
    anchor_mean: Literal["geometric", "arithmetic"] | None = None,
    anchor_model: str | PathLike[str] | None = None,
    anchor_share: float | None = None,
    anchor_weight: float | None = None,
    aspect: Literal["both", "direction", "norm"] | None = None,
    attention: bool | None = None,
    average_rows: int | None = None,
    balance_weight: float | None = None,
    begin: Literal["initial", "last"] | None = None,
    beta: float | None = None,
    boundary: Literal["tail", "head"] | None = None,
    capacity: int | None = None,
    category: str | None = None,
    ce_weight: float | None = None,
    centre: bool | None = None,
    centroids: int | None = None,
    choice_temperature: float | None = None,
    clamp: float | None = None,
    classes: int | None = None,
    classmate: Literal["trained", "frozen", "ema", "teacher", "uniform"] | None = None,
    classmate_decay: float | None = None,
    classmate_every: int | None = None,
    classmate_lag: float | None = None,
    classmate_model: str | PathLike[str] | None = None,
    clients: int | None = None,
    clip: float | None = None,
    clip_per: Literal["token", "entry"] | None = None,
    context_field: str | None = None,
    context_template: str | None = None,
    context_tokens: int | None = None,
    controller_every: int | None = None,
    controller_rate: float | None = None,
    curriculum_share: float | None = None,
    dckd_share: float | None = None,
    decay: float | None = None,
    deviation: Literal["population", "sample"] | None = None,
    direction: Literal["forward", "reverse"] | None = None,
    discount: float | None = None,
    distillation_weight: float | None = None,
    divergence: Literal["skew_reverse_kl", "reverse_kl", "jsd"] | None = None,
    domain: str | None = None,
    edited_share: float | None = None,
    edits: int | None = None,
    emphasis: float | None = None,
    enhanced_weight: float | None = None,
    entropy_limit: float | None = None,
    entropy_share: float | None = None,
    entropy_weight: float | None = None,
    episode: int | None = None,
    exchange_steps: int | None = None,
    exit_weight: float | None = None,
    exits: int | str | Sequence[int] | None = None,
    final: Literal["labels", "teacher", "mixture"] | None = None,
    first_share: float | None = None,
    first_target: Literal["anchor", "mixed"] | None = None,
    form: Literal["target", "subtract"] | Literal["jsd", "sampled"] | None = None,
    forward_weight: float | None = None,
    fresh: bool | None = None,
    gate: Literal["validation", "student"] | None = None,
    gate_temperature: float | None = None,
    generations: int | None = None,
    global_temperature: float | None = None,
    global_weight: float | None = None,
    group_field: str | None = None,
    growing_weight: bool | None = None,
    head: Literal["detached", "shared"] | None = None,
    head_mass: float | None = None,
    heads: int | None = None,
    increment: float | None = None,
    inner_weight: float | None = None,
    interaction_weight: float | None = None,
    kd_ratio: float | None = None,
    kd_weight: float | None = None,
    kl_weight: float | None = None,
    label_field: str | None = None,
    label_weight: float | None = None,
    labelled_field: str | None = None,
    labelled_share: float | None = None,
    least_seen: int | None = None,
    length_norm: bool | None = None,
    lm_weight: float | None = None,
    local_steps: int | None = None,
    local_weight: float | None = None,
    main_task: str | None = None,
    matched_weight: float | None = None,
    matching: Literal["index", "text"] | None = None,
    matching_weight: float | None = None,
    message_weight: float | None = None,
    message_width: int | None = None,
    meta: Literal["collaborative", "competitive"] | None = None,
    meta_rate: float | None = None,
    meta_share: float | None = None,
    mixed_share: float | None = None,
    mixture_temperature: float | None = None,
    mixture_weight: float | None = None,
    momentum: float | None = None,
    neighbours: int | None = None,
    noise: float | None = None,
    old_share: float | None = None,
    opener_share: float | None = None,
    others: Literal["sorted", "bucket"] | None = None,
    over: int | Literal["all"] | None = None,
    own_weight: float | None = None,
    parameters: str | None = None,
    part_rate: float | None = None,
    passes: int | None = None,
    peer_divergence: Literal["forward", "reverse"] | None = None,
    peer_weight: float | None = None,
    place: Literal["first", "last"] | None = None,
    places: int | None = None,
    plausibility: float | None = None,
    policy_rate: float | None = None,
    power: float | None = None,
    private: Literal["spans", "digits"] | None = None,
    private_temperature: float | None = None,
    projector_rate: float | None = None,
    quantile: float | None = None,
    rank: int | None = None,
    ranking_weight: float | None = None,
    ratio_limit: float | None = None,
    reference_model: str | PathLike[str] | None = None,
    refresh: Literal["hard", "ema", "never"] | None = None,
    refresh_every: int | None = None,
    refresh_steps: int | None = None,
    relation: Literal["cosine", "knn"] | None = None,
    relation_temperature: float | None = None,
    replacement: Literal["teacher", "top_k"] | None = None,
    responses: Literal["teacher", "student"] | Literal["teacher", "fresh", "dataset"] | None = None,
    reward: Literal["binary", "real"] | None = None,
    reward_clip: float | None = None,
    reward_rows: int | None = None,
    reward_scale: float | None = None,
    rollout_batches: int | None = None,
    routing: Literal["soft", "hard", "average", "known"] | None = None,
    sampled: int | None = None,
    samples: int | None = None,
    scaled: bool | None = None,
    shard_field: str | None = None,
    share: float | None = None,
    sharpness: float | None = None,
    shots: int | None = None,
    single_step: float | None = None,
    skew: float | None = None,
    smoothing: float | None = None,
    soft_weight: float | None = None,
    spread: float | None = None,
    start: float | None = None,
    state_weight: float | None = None,
    step_size: float | None = None,
    stop_rise: float | None = None,
    strength: float | None = None,
    student_fraction: float | None = None,
    student_weight: float | None = None,
    subclasses: int | None = None,
    tail: Literal["drop", "bucket"] | bool | None = None,
    target: Literal["labels", "anchored"] | None = None,
    target_temperature: float | Literal["auto"] | None = None,
    targets: Literal["means", "head"] | None = None,
    task_field: str | None = None,
    teacher_learns: bool | None = None,
    teacher_mix: float | None = None,
    teacher_noise: float | None = None,
    teacher_rate: float | None = None,
    teacher_weight: float | None = None,
    teachers: str | PathLike[str] | Sequence[str | PathLike[str]] | None = None,
    temperature: float | None = None,
    threshold: float | None = None,
    tokens: int | Literal["knee"] | None = None,
    tolerance: float | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
    truncated_end: Literal["omit", "append"] | None = None,
    truth_weight: float | None = None,
    validation_rows: int | None = None,
    verifier: str | None = None,
    virtual_rate: float | None = None,
    warmup: float | None = None,
    weight: Literal["exp", "sigmoid"] | float | None = None,
    window_tokens: int | None = None,
) -> "Trained":
    """Train a student with a distillation method.

    The keys are those of `kdbench train --help`.

    Args:
        method: Distillation method; see kdbench methods.
        student: Checkpoint to start from, prune:MODEL,layers=N (a model without its middle layers),
            search:MODEL,layers=N,metric=kl|relation (with the layers that a search finds) or
            random:CONFIG (random weights).
        teacher: Teacher's checkpoint folder, model on the Hub (org/name or org/name@revision),
            cache:DIR (scores kept by kdbench cache or teacher_cache=), or the address of a server,
            http://….
        teacher_cache: Folder in which to keep the teacher's scores of the training responses, from
            which the student then learns; also for a later teacher=cache:DIR.
        teacher_top_k: Number of most likely tokens kept per position with teacher_cache=, or asked
            of a server.
        recipe: File of keys, or the name of a bundled recipe such as toy/gkd; other keys override
            it.
        teacher_api: API of the teacher's server: vllm (prompt_logprobs), sglang (/generate) or
            openai (echo and logprobs) (default: what its list of models shows).
        teacher_model: Name of the teacher on its server; by tag, as in math=NAME,code=NAME, for
            several (default: the server's only model).
        teacher_field: Column of the training rows that names the teacher of each, with several
            teachers as in teacher=math=http://…,code=http://… (default: domain).
        teacher_tokenizer: Folder or model on the Hub with the teacher's tokenizer (default: the
            student's, which the server must share).
        teacher_check: Checkpoint whose log-probabilities the server's must equal at the start, up
            to rounding.
        teacher_concurrency: Number of requests to the teacher's server at once.
        teacher_timeout: Seconds to wait for the teacher's server.
        teacher_budget: Number of tokens that this command may send to the teacher's server
            (default: no limit).
        teacher_key_env: Name of the environment variable that holds the key of the teacher's
            server.
        data: Folder of the data sets (default: $KDBENCH_DATA, else the Hub).
        train_set: Data set to train on: its train.jsonl and valid.jsonl in data=, or the path of a
            .jsonl file.
        valid_set: Validation file if train_set= is a file (default: valid.jsonl next to it).
        limit: Number of training examples to use, from the start of the set.
        pretraining: JSONL file of plain texts against forgetting, one {"text": …} per line.
        pretraining_weight: Weight of the loss on plain texts.
        epochs: Number of times that all training prompts are used (default: 1).
        steps: Number of optimiser steps, instead of epochs=.
        batch_size: Number of examples per optimiser step, over all processes.
        learning_rate: Peak learning rate of AdamW.
        min_learning_rate: Final learning rate of the cosine schedule.
        lr_schedule: Schedule of the learning rate after the warm-up; wsd is constant and falls to 0
            in the last fifth.
        warmup_steps: Number of steps over which the learning rate rises.
        weight_decay: Weight decay of AdamW; biases and norms have none.
        beta1: First-moment decay rate of AdamW.
        beta2: Second-moment decay rate of AdamW.
        max_grad_norm: Gradient norm above which gradients are clipped.
        dropout: Whether the student's own dropout stays on.
        seed: Seed of the data order, sampling, dropout and random weights.
        router_loss: Weight of the router loss of a student with experts; 0 is without.
        lora_rank: Rank of a LoRA adapter to train; 0 trains all weights.
        lora_alpha: Scale of the adapter, divided by its rank.
        lora_dropout: Dropout rate of the adapter.
        train_format: Format of prompts and responses: alpaca (the template of the papers), chat
            (the tokenizer's chat template) or text (as they are).
        train_turns: Turns of the assistant that are learned from a conversation: the last, or all,
            each as an example of its own.
        chat_template: Chat template for train_format=chat: a file, or the name of one of the
            tokenizer's (default: the tokenizer's default).
        chat_template_kwargs: Variables of the chat template, as in enable_thinking=false.
        system: System turn of the prompts for train_format=chat: a text, or @FILE.
        thinking: Whether validation scores the thinking: strip leaves it out of the answer, keep
            does not; training learns the whole response.
        thinking_marks: Marks around the thinking, as in <think>,</think> (default: those that the
            tokenizer and the chat template are known to have).
        add_bos: Whether the BOS token precedes the prompt.
        end_token: Token that ends a response (default: the student's end token).
        max_prompt_tokens: Prompt length limit, in tokens.
        long_prompts: Treatment of examples whose prompt is longer.
        max_length: Length limit of prompt and response together, in tokens.
        max_new_tokens: Length limit of a generated response, in tokens.
        sampling_temperature: Sampling temperature of the responses used in training.
        sampling_top_p: Probability mass of nucleus sampling for the responses used in training; 1
            turns it off.
        teacher_responses: Folder in which the teacher's responses are kept and shared between runs
            (default: teacher-responses, next to out=).
        generation_batch_size: Number of sequences that decode at once.
        rollout_backend: What generates the student's responses in training: hf (the model in
            training itself) or vllm (an engine that is given its weights).
        rollout_backend_options: Options of that engine, as in
            gpu_memory_utilization=0.3,enforce_eager=true.
        rollout_server: Server that runs the engine, such as http://127.0.0.1:8400 (default: the
            engine runs beside the training).
        rollout_lag: Number of steps by which responses are generated ahead, with the weights of
            that many steps before; 0 waits for them.
        rollout_weight_clip: Largest importance weight of a token that the engine drew, in methods
            whose gradient is an expectation over the student's own samples.
        watch: Models whose divergence from the student is logged at each validation, as in
            oracle=path/to/oracle,teacher=teacher, where the last word is the run's own teacher.
        validate_every: Number of steps between validations (default: one epoch).
        validation_limit: Number of validation examples for the loss (default: all).
        validation_samples: Number of validation examples answered for ROUGE-L (default: as many as
            for the loss).
        select: Criterion for the validation whose student is kept.
        device: Device: auto, cpu, cuda or mps.
        precision: Number format of the forward and backward pass; auto is bfloat16 on a GPU, else
            float32.
        teacher_dtype: Number format of the teacher's weights; auto follows precision=.
        teacher_device: Device of the teacher, such as cuda:1 or cpu (default: the student's).
        teacher_offload: Keep the teacher's layers in main memory and move each to the GPU for its
            pass: less memory, more time.
        teacher_quantization: Load the teacher's weights in 8 or 4 bits, with bitsandbytes.
        student_quantization: Freeze the student's weights in 8 or 4 bits and train the adapter of
            lora_rank= (QLoRA).
        micro_batch_size: Number of examples per forward pass (default: 8); does not affect the
            result.
        gradient_checkpointing: Recompute activations in the backward pass: less memory, more time.
        compile_loss: Whether the loss is compiled (torch.compile); auto compiles it on a GPU. Does
            not affect the result.
        chunk_tokens: Number of positions per chunk of the loss; does not affect the result.
        report_to: Experiment trackers to log to: wandb, mlflow, tensorboard, trackio.
        report_group: Group of the runs in the trackers (default: none; fill: the table's title).
        out: Folder of the checkpoint (default: runs/METHOD).
        label: Row label in tables (default: the method's title).
        setting: Setting that the student belongs to; a table groups the rows of one setting.
        save_every: Number of steps between saved states, from which an interrupted run resumes
            (default: 100, and at each validation).
        log_every: Number of steps between lines of the log.
        plugins: Python files that register metrics, methods, backends, builders, analyses or
            prompts; they run when they are loaded, so name only files that you trust.
        unsafe_pickle: Permission to read pickle weights (*.bin), which can run code.
        trust_remote_code: Permission to run Python code that comes with the checkpoints.
        adaptive_skew: smaller α where the writer leads less (distillm2).
        advantage_limit: largest size of a token's advantage, nats (adpa).
        advantage_weight: γ, weight of the advantage (adpa).
        alpha: α, power of the teacher's probabilities (abkd).
        alpha_schedule: how α moves: not at all, or warm-up, stable, decay (pretrain_kd).
        anchor_mean: how target=anchored mixes the two distributions (iterated).
        anchor_model: checkpoint of the anchor (default: the student before training) (iterated).
        anchor_share: g, the anchor's share in the target (iterated).
        anchor_weight: weight of KL(q‖q_0) on the samples, q_0 the student at start (adpa).
        aspect: both, direction or norm (nd).
        attention: align positions by attention, also those of another tokenizer (dskd).
        average_rows: number of training rows for the teacher's mean of each token (tgeo).
        balance_weight: weight of an even use of the teachers (mst).
        begin: the student from which each generation begins (iterated).
        beta: β, power of the student's probabilities (abkd); β, factor of the margin (dpkd, dpo).
        boundary: where the token belongs that passes head_mass; tail as the authors have it, head
            as DSKD (akl).
        capacity: rollouts in the replay buffer of each process (distillm).
        category: field by whose values teachers are good (mst).
        ce_weight: weight of the cross-entropy (bdkd, logit_std); α, weight of the cross-entropy on
            chosen (dckd); weight of the cross-entropy on chosen (dpo); γ, weight of the
            cross-entropy (mixup); weight of the cross-entropy, on tokens that are not private
            (swing).
        centre: subtract the mean of both models' logits (dual_head).
        centroids: M, number of centres of a client's own texts (edgefd).
        choice_temperature: temperature of the choice by disagreement; 0 takes the largest (hard).
        clamp: largest KL(q‖c) that form=subtract rewards, nats (classmate).
        classes: C, number of labels (lelp).
        classmate: the weaker model (classmate).
        classmate_decay: decay of classmate=ema per step (classmate).
        classmate_every: student steps per classmate step (classmate).
        classmate_lag: a trained classmate pauses while its validation loss is below the student's
            plus this, nats per token (classmate).
        classmate_model: checkpoint from which the classmate starts, which may be smaller (default:
            the student's) (classmate).
        clients: number of clients (edgefd, knfu).
        clip: ε, clip of the ratio (grpo, trrd); clip of the probability ratio (minillm); largest
            divergence, nats (opsd).
        clip_per: what `clip` bounds (opsd).
        context_field: field with the solution (default: the first reference) (opsd); field with the
            demonstration (default: the first reference) (sdft).
        context_template: how an example is written, with {question} and {response} (context_sd);
            how the solution is written before the question; {} is its place (opsd); how it is
            written before the question; {} is its place (sdft); how a right response is written
            before the question; {} is its place (sdpo).
        context_tokens: tokens of the examples at most; those that do not fit are left out
            (context_sd); tokens of the solution at most (opsd); tokens of the demonstration at most
            (sdft); tokens of the right response at most (sdpo).
        controller_every: number of steps between its updates (tgeo).
        controller_rate: its learning rate, as a multiple of the student's (tgeo).
        curriculum_share: share of the run's steps in the second stage (mpdistil).
        dckd_share: share of the steps that train by DCKD first (ADPA+) (adpa).
        decay: decay of refresh=ema per step (context_sd); of the averaged teacher per step; 1 is
            the student at start (opsd, sdft, sdpo).
        deviation: standard deviation that divides the advantages (grpo, trrd).
        direction: direction of the KL (bild); direction of the skew KL (distillm); reverse puts the
            student first in the KL (trg).
        discount: discount of later rewards per token (minillm); γ, of later rewards in an episode
            (mpdistil).
        distillation_weight: w, weight of the distillation; the policy gradient has 1-w (sdpo).
        divergence: divergence to the target of form=target (classmate).
        domain: column of the domain, in training and validation (ddk).
        edited_share: share of the rows that are edited (hard).
        edits: K, number of edits of a prompt (hard).
        emphasis: δ, weight of the emphasised direction (bdkd).
        enhanced_weight: weight of the part with the teacher (ofa).
        entropy_limit: entropy of the teacher above which it is unsure, nats (eopd).
        entropy_share: share of a response's tokens whose entropy is lowered (tsd).
        entropy_weight: weight of the entropy (tsd).
        episode: student steps between changes of the policy (mpdistil).
        exchange_steps: steps of a round on public rows (edgefd, knfu).
        exit_weight: weight of each exit (ofa).
        exits: layers of the student with an exit, from 1 (ofa).
        final: the finished student's head: a, b, or their log-linear mixture (dho).
        first_share: share of the steps on the teacher's responses (strong_to_weak).
        first_target: what the first generation of target=anchored learns from: the anchor, or its
            mixture with the student before training (iterated).
        form: how the classmate is used (classmate); divergence, or its policy gradient (opsd).
        forward_weight: weight of the forward part (eopd).
        fresh: whether the teacher answers anew in every step, instead of once (seqkd).
        gate: what trains the gate: the teachers' validation loss, or the KL (mst).
        gate_temperature: divides the entropy gap in the gate (tsd).
        generations: number of students, one after the other (iterated).
        global_temperature: divides the cosines of the contrast (trg).
        global_weight: γ, weight of the contrast of tokens (trg).
        group_field: column of a hidden subgroup, of which a probe is logged (default: none) (lelp).
        growing_weight: β grows by 0.5 in the first half (distillm2).
        head: whether exits train the student's head (shared) or not (ofa).
        head_mass: μ, largest probability mass of the teacher in the head (akl).
        heads: 1 has the student's own head learn both (dho); 1 puts both losses on the student's
            head (dual_head).
        increment: rise of the threshold (distillm).
        inner_weight: α, weight of relations in a response (trg).
        interaction_weight: weight of the decoded message (talking).
        kd_ratio: r, weight of the divergence; CE has 1-r (aif, kd); r, weight of both spaces; CE
            has 1-r (dskd); α, weight of the divergence; CE has 1-α (pretrain_kd); r, weight of
            forward KL; CE has 1-r (seqkd); r, weight of the distance; CE has 1-r (uld).
        kd_weight: weight of the divergence; CE has 1 (ddk); weight of the divergence (logit_std);
            α, weight of the KL (mixup); weight of the KL (mst, nd).
        kl_weight: β, weight of KL(q‖q_ref) (grpo, trrd).
        label_field: column of a label whose word is in the response (default: free text) (dho);
            column of the label (lelp).
        label_weight: λ, weight of the labels' cross-entropy (dho).
        labelled_field: column that is 1 in labelled rows, else 0 (dho).
        labelled_share: share of a step that is labelled (dho).
        least_seen: occurrences below which a token counts nothing (nd).
        length_norm: divide the reward by the number of tokens left; MiniLLM's code always does
            (minillm).
        lm_weight: r, weight of the response's cross-entropy (lelp).
        local_steps: steps of a round on the clients' own rows (edgefd, knfu).
        local_weight: β, weight of relations in a micro-batch (trg).
        main_task: task on whose validation rows rewards are measured (mpdistil).
        matched_weight: weight of the JSD; none takes the share of matched tokens (gold).
        matching: places that are compared: of equal number, or of equal text (uld).
        matching_weight: α, weight of the match per 100 tokens (dual_head).
        message_weight: weight of the message's consistency (talking).
        message_width: numbers in a message (talking).
        meta: what the meta teacher learns (mpdistil).
        meta_rate: its learning rate, times the student's (mpdistil).
        meta_share: its share of the second stage (mpdistil).
        mixed_share: share of the rows that are mixed (mixup).
        mixture_temperature: β, divides head b's logits there (dho).
        mixture_weight: w, weight of head a at inference (dho).
        momentum: β, momentum of the loss's relative fall (taid).
        neighbours: k of relation=knn (trg).
        noise: ε, share of even noise on private tokens (swing).
        old_share: α, share of the student at sampling; the teacher has 1-α (trrd).
        opener_share: c, share of a response's entropy in its opener (tsd).
        others: what does not match: sorted distance, or one rest in the JSD (gold).
        over: tokens that are standardised: all, or the teacher's likeliest K >= 3 (logit_std).
        own_weight: largest a, weight of the student's own first choices (weak_to_strong).
        parameters: patterns of the parameters' names, with commas (default: the last layer) (aif,
            tgeo).
        part_rate: learning rate of the correction / student's (dual_head); learning rate of the
            gate / student's (mst); learning rate of the projector / student's (nd, trg); learning
            rate of the maps as a multiple of the student's (ofa); learning rate of the maps /
            student's (talking).
        passes: steps in which a response is learned (grpo, trrd); number of passes over each set of
            rollouts (minillm); steps in which a set of samples is learned (sdft).
        peer_divergence: direction of a learning teacher's KL to the student (bdkd).
        peer_weight: weight of a learning teacher's KL (bdkd).
        place: token of a group whose distribution is compared (gold).
        places: K, number of places that are learned (pld).
        plausibility: a; only tokens with p >= a max p are contrasted (classmate).
        policy_rate: learning rate of the policy; 0 draws all tasks alike (mpdistil).
        power: ε, power of the teacher's probabilities (ofa).
        private: which tokens are private (swing).
        private_temperature: divides the teacher's logits on private tokens (swing).
        projector_rate: learning rate of the projectors, as a multiple of the student's (dskd).
        quantile: share of a client's own texts that count as familiar (edgefd).
        rank: r, rank of the second head's correction (dual_head); rank of the map from a layer to
            the head (ofa).
        ranking_weight: α, weight of the ranking (tsd).
        ratio_limit: largest importance ratio of a token (sdft).
        reference_model: checkpoint of the teacher before it was aligned (adpa); checkpoint of the
            reference (default: the student before training) (dpo); checkpoint of q_ref (default:
            the student before training) (grpo, trrd).
        refresh: how the teacher follows the student (context_sd).
        refresh_every: K, steps between refreshings of hard (context_sd).
        refresh_steps: number of steps between new weights (aif); number of steps between selections
            (kd3).
        relation: what relates two tokens (trg).
        relation_temperature: divides the cosines (trg).
        replacement: what replaces others: a sample of the teacher, or of its top_k (skd).
        responses: who writes responses to unlabelled prompts, without label words (dho); whose
            responses are learned: the weak teacher's, sampled once or in every step (fresh), or the
            dataset's (weak_to_strong).
        reward: what a row counts (mpdistil).
        reward_clip: largest absolute reward after scaling (minillm).
        reward_rows: largest number of validation rows of a reward (mpdistil).
        reward_scale: divisor of the rewards; after whitening it only moves the clip (minillm).
        rollout_batches: number of batches that are sampled together (minillm).
        routing: soft, hard, or without the gate: average, known (mst).
        sampled: most tokens that are related (trg).
        samples: G, responses to each prompt (grpo, trrd); responses to each prompt (sdpo).
        scaled: divide both logits by their standard deviation (mixup).
        shard_field: column of the client, or `public` (edgefd, knfu).
        share: s, share of the mix that follows the gaps; 0 draws evenly (ddk); κ, share of the pool
            that is kept (kd3).
        sharpness: β, how fast weights fall with disagreement; 0 is the average (knfu); β,
            multiplies the projections; 0 makes all subclasses alike (lelp).
        shots: number of examples before the question (context_sd).
        single_step: weight of the single-step reverse KL (minillm).
        skew: α, share of the opposite side in the mixture (distillm); α, share of the first side in
            the mixture (distillm2).
        smoothing: δ, probability that goes from the teacher's first token to the others, in place
            of a temperature; below 1/top_k, 0 is none (first).
        soft_weight: α, weight of the squares; CE has 1-α (mpdistil).
        spread: a of Beta(a, a), from which λ is drawn (mixup); s of relation=knn, scale of squared
            distances (trg).
        start: initial t, the teacher's weight (taid).
        state_weight: β, weight of the states' distance (mpdistil); weight of the teacher's own
            consistency (talking).
        step_size: α, largest rise of t in a step (taid).
        stop_rise: rise of the validation loss over its lowest, nats per token, that ends the
            refreshing; null never does (context_sd).
        strength: β, strength of the contrast; λ = β/(1+β) (classmate).
        student_fraction: share of batches that are student samples (classmate, gkd, gold, imitkd,
            jsd, rkl, tvd).
        student_weight: β, weight on the student's responses; the teacher's have 2-β (distillm2).
        subclasses: S, number of subclasses of a label (lelp).
        tail: what becomes of other tokens: nothing, or one outcome for all (first); whether all
            other tokens count as one more (sdft).
        target: what the last student is mixed with (iterated).
        target_temperature: T, divides the teacher's log-probabilities; auto: the one that
            calibrates it on the validation set (first); divides the teacher's logits in the weights
            of the places (pld); T, divides the teacher's kept log-probabilities (pretrain_kd).
        targets: mean states before a token, or the rows of the teacher's head (nd).
        task_field: column of the task (mpdistil).
        teacher_learns: whether the teacher learns with the student (bdkd).
        teacher_mix: a, teacher's share in sampling (minillm).
        teacher_noise: standard deviation of Gaussian noise on the teacher's logits, for ablations;
            it depends on the example and the place in its response alone (kd).
        teacher_rate: a learning teacher's learning rate as a multiple of the student's (bdkd).
        teacher_weight: w, teacher's share of the mixture; 0 is KL(p‖q), 1 is KL(q‖p) (gkd, gold,
            jsd); w, teacher's share in the JSD (opsd, sdft, tsd); teacher's share in the JSD
            (sdpo); w of the second stage; 0 is KL(p‖q), 1 is KL(q‖p) (strong_to_weak).
        teachers: checkpoints of the teachers, two or more (mst).
        temperature: divides both logits in the divergence (aif, kd); divides the differences
            (bild); T, divides the logits of teacher and head b (dho); divides the logits of both
            divergences (dskd); τ, divides the differences of logits (dual_head); T, divides both
            standardised logits (logit_std); τ, divides the logits in the squares (mpdistil); τ,
            divides the logits in the KL (mst); τ, divides both logits in the KL (nd); divides both
            logits in the JSD (opsd); divides the teacher's logits elsewhere (swing); T, divides
            both logits in the divergence (tgeo).
        threshold: initial share of student batches (distillm).
        tokens: number of likeliest tokens, 3 or more; knee: as far as the logits' knee (bild).
        tolerance: rise of the validation loss that counts, nats (distillm).
        top_k: tokens of each position that clients send (edgefd, knfu); number of the teacher's
            tokens in the forward part (eopd); k, number of the teacher's tokens (first); number of
            the teacher's tokens that are compared, renormalised (opsd); k, most tokens that are
            kept (pretrain_kd); number of the student's tokens that are compared (sdft, sdpo); K;
            tokens among the teacher's K likeliest are kept (skd); number of the student's tokens
            that are ranked (tsd).
        top_p: share of the teacher's probability whose tokens are kept (pretrain_kd).
        truncated_end: whether a response cut at max_new_tokens= gets an end token; append as
            MiniLLM's code does (seqkd).
        truth_weight: a, weight of the labels (iterated).
        validation_rows: number of validation rows whose loss the weights lower (aif); rows per step
            from which the gate learns (mst); number of validation rows whose loss it lowers (tgeo).
        verifier: what rewards a response: exact_match, number, or rougeL>=0.7 (grpo, trrd);
            exact_match, number or rougeL>=0.7 (sdpo).
        virtual_rate: η, learning rate of the virtual step (tgeo).
        warmup: share of the training in which a rises (weak_to_strong).
        weight: how influences become weights (aif); weight of ND (nd).
        window_tokens: most tokens of texts that share a row; 0 packs none (pretrain_kd).

    Returns:
        The checkpoint's folder and its run card.

    Raises:
        InputError: Anything about models, data or settings that the caller can fix.
    """


@keyed
def build(
    builder: str,
    *,
    data: str | PathLike[str] | None = None,
    train_set: str | PathLike[str] = "dolly",
    limit: int | None = None,
    max_length: int = 512,
    out: str | PathLike[str] | None = None,
    set_name: str | None = None,
    seed: int = 10,
    protocol: str = "minillm",
    max_prompt_tokens: int | None = None,
    max_new_tokens: int | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    top_k: int | None = None,
    no_repeat_ngram_size: int | None = None,
    add_bos: bool | None = None,
    seeds: int | str | Sequence[int] | None = None,
    chat_template: str | None = None,
    chat_template_kwargs: str | Mapping[str, Any] | None = None,
    system: str | None = None,
    thinking: Literal["strip", "keep"] | None = None,
    thinking_marks: str | tuple[str, str] | None = None,
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
    device: str = "auto",
    batch_size: int | Literal["auto"] = "auto",
    backend: str = "hf",
    backend_options: str | Mapping[str, Any] = {},
    plugins: str | PathLike[str] | Sequence[str | PathLike[str]] = (),
    unsafe_pickle: bool = False,
    trust_remote_code: bool = False,
    against: str | PathLike[str] | Sequence[str | PathLike[str]] | None = None,
    ask_gain: bool | None = None,
    budget: float | None = None,
    by: str | Sequence[str] | None = None,
    checker: str | None = None,
    common: int | None = None,
    critic: str | None = None,
    cut: Literal["keep", "drop"] | None = None,
    fields: str | Sequence[str] | None = None,
    judge: str | PathLike[str] | None = None,
    judged: str | PathLike[str] | None = None,
    judgements: int | None = None,
    kept_words: float | None = None,
    near: float | None = None,
    new_words: int | None = None,
    ngram: int | None = None,
    ngram_share: float | None = None,
    operators: str | Sequence[str] | None = None,
    originals: bool | None = None,
    ratio: float | None = None,
    repeats: Literal["drop", "keep"] | None = None,
    responses: int | None = None,
    rounds: int | None = None,
    rows: int | None = None,
    sampler: Literal["weak", "strong", "both"] | None = None,
    share: float | None = None,
    shots: int | None = None,
    strong: str | PathLike[str] | None = None,
    teacher: str | PathLike[str] | None = None,
    threshold: float | None = None,
    verifier: str | None = None,
    weak: str | PathLike[str] | None = None,
    within: str | None = None,
    without: str | PathLike[str] | Sequence[str | PathLike[str]] | None = None,
    writer: Literal["teacher", "rules"] | None = None,
) -> "Built":
    """Read prompts and models, and write a data set.

    The keys are those of `kdbench build --help`.

    Args:
        builder: Builder; see kdbench builders.
        data: Folder of the data sets (default: $KDBENCH_DATA, else the Hub).
        train_set: Data set to read: its train.jsonl in data=, or the path of a .jsonl file; its
            valid.jsonl is copied.
        limit: Number of rows to read, from the start.
        max_length: Longest prompt and response together of a text to be scored, in tokens; what is
            longer is cut.
        out: Folder of the data set (default: runs/built/BUILDER).
        set_name: Name of the set in that folder (default: that of the set it reads).
        seed: Seed of all draws and samples.
        protocol: Named protocol: minillm, greedy or chat; see kdbench protocols.
        max_prompt_tokens: Prompt length limit, in tokens; longer prompts are cut, none for no cut
            (default: the protocol's, as for the keys below).
        max_new_tokens: Response length limit, in tokens.
        temperature: Sampling temperature; 0 is greedy decoding.
        top_p: Probability mass of nucleus sampling; 1 turns it off.
        top_k: Number of most likely tokens to sample from; 0 turns it off.
        no_repeat_ngram_size: Length of n-grams that may not repeat, in tokens; 0 turns the rule
            off.
        add_bos: Whether the BOS token precedes the prompt.
        seeds: Sampling seeds, as in 10,20,30 or 1-16.
        chat_template: Chat template for protocol=chat: a file, or the name of one of the
            tokenizer's (default: the tokenizer's default).
        chat_template_kwargs: Variables of the chat template, as in enable_thinking=false.
        system: System turn of the prompts for protocol=chat: a text, or @FILE.
        thinking: Whether the thinking, up to the model's end-of-thinking mark, is scored: strip
            leaves it out of the answer (the default), keep scores the whole response.
        thinking_marks: Marks around the thinking, as in <think>,</think> (default: those that the
            tokenizer and the chat template are known to have).
        dtype: Number format of weights and activations; auto is the checkpoint's.
        device: Device: auto, cpu, cuda, cuda:1 or mps.
        batch_size: Number of sequences that decode at once.
        backend: Generation backend; see kdbench backends.
        backend_options: Options of the backend, as in tensor_parallel_size=2,max_model_len=1024.
        plugins: Python files that register metrics, methods, backends, builders, analyses or
            prompts; they run when they are loaded, so name only files that you trust.
        unsafe_pickle: Permission to read pickle weights (*.bin), which can run code.
        trust_remote_code: Permission to run Python code that comes with the checkpoint.
        against: Test sets, as in tasks= of kdbench eval: names or files (decontaminate).
        ask_gain: Also ask the teacher whether both prompts ask the same (evol_instruct).
        budget: Budget as FLOPs of the generation for a prompt, at responses of max_new_tokens;
            instead of responses= (compute_optimal).
        by: Column by whose values coverage is given too (compute_optimal); What counts: exact
            (equal words), ngram (a run of words), near (most words) (decontaminate); Rule, by its
            name (select).
        checker: A stricter verifier; what is right without passing it counts as a false positive,
            which is kept (compute_optimal).
        common: A run or triple of words in more rows than this shows nothing (decontaminate).
        critic: Checkpoint whose scores the critic reads (default: the teacher) (symbolic).
        cut: What becomes of responses that the length limit cut; a student that learns one learns
            to end there (teacher_responses).
        fields: Texts of a test set that are searched for: prompt, response, both (as one)
            (decontaminate).
        judge: Rule that judges statements by the references: exact_match, number or rougeL>=0.7
            (symbolic).
        judged: Judged statements instead: rows like those of the set, with right: true or false
            (symbolic).
        judgements: Number of statements that judge= judges (symbolic).
        kept_words: Least share of the parent's words, without function words, that an evolved
            prompt still has; breadth is free of it (evol_instruct).
        near: Least Jaccard index of two near texts (decontaminate).
        new_words: Least number of words in an evolved prompt that its parent lacks (evol_instruct).
        ngram: Words of a run; a shorter test text is one run (decontaminate).
        ngram_share: Least share of a test text's words in shared runs (decontaminate).
        operators: Operators, of which each round draws one per prompt (evol_instruct).
        originals: Whether the rows that are read are written, too (evol_instruct).
        ratio: P_s/P_w (default: from the sizes of weak= and strong=) (compute_optimal).
        repeats: What becomes of equal right responses to a prompt (compute_optimal).
        responses: Budget as responses of the strong model to a prompt (default: 4); the weak one
            gives P_s/P_w times as many (compute_optimal); Number of statements for each row
            (symbolic); Number of responses to each prompt (teacher_responses).
        rounds: How often each prompt is evolved (evol_instruct).
        rows: Number of rows to keep, instead of share= (select).
        sampler: Which model answers; both gives each half of the budget (compute_optimal).
        share: Share of the rows that is kept (select); Share of the statements to keep instead, the
            best ones (symbolic).
        shots: Number of other rows, from the first 256, that are shown before each; a plain text is
            continued from these alone (symbolic).
        strong: The larger model, or its name on a server (compute_optimal).
        teacher: Checkpoint that writes the prompts and answers them, or its name on a server; a
            chat model, with protocol=chat (evol_instruct); Checkpoint that writes, or its name on a
            server (symbolic); Checkpoint that answers, or its name on a server (teacher_responses).
        threshold: Least probability of what is kept (default: 0.5) (symbolic).
        verifier: What is right: exact_match, number or rougeL>=0.7 (compute_optimal).
        weak: The smaller model, or its name on a server (compute_optimal).
        within: Column, such as category: of each of its values the same share is kept (select).
        without: Data sets, as folders that were built or .jsonl files, whose rows are not chosen
            again, as they have been labelled (select).
        writer: What writes the evolved prompts; rules need no chat model (evol_instruct).

    Returns:
        The data set's folder and its card.

    Raises:
        InputError: Anything about models, data or settings that the caller can fix.
    """


@keyed
def fill(
    table: str | PathLike[str],
    *,
    plan: bool = False,
    rows: str | Sequence[str] = (),
    checkpoints: bool = False,
    device: str | None = None,
    changes: Mapping[str, str] = {},
    data: str | PathLike[str] | None = None,
    models: str | PathLike[str] | None = None,
    results: str | PathLike[str] | None = None,
    workers: int | None = None,
    executor: str = "local",
    executor_options: str | Mapping[str, Any] = {},
    retries: int = 2,
    report_to: str | Sequence[str] = (),
    report_group: str | None = None,
    plugins: str | PathLike[str] | Sequence[str | PathLike[str]] = (),
    storage_options: str | Mapping[str, Any] = {},
    work: str | PathLike[str] | None = None,
) -> "Filled":
    """Train and measure what a table lacks, then draw it.

    The keys are those of `kdbench fill --help`.

    Args:
        table: Table file, or the name of a bundled one.
        plan: Dry run: print what is done and what is missing, and do nothing.
        rows: Rows to train and measure now, by label; others stay as they are (default: all).
        checkpoints: Whether to train rows whose evaluations are stored but whose checkpoints are
            not here, for kdbench frontier and kdbench analyse budget.
        device: Device: cpu, cuda or mps (default: chosen automatically).
        changes: Changes to keys of the table file; on the command line each is a key with dots, as
            in evaluate.limit=20.
        data: Folder of the data sets (default: as in the table file).
        models: Folder of the checkpoints (default: as in the table file).
        results: Folder of the results (default: as in the table file).
        workers: Most trainings and evaluations that run at a time (default: one for each GPU of
            this machine, or one; on a cluster, as many as it takes).
        executor: Where they run: local (this machine), ray or slurm.
        executor_options: Options of the executor, as in partition=gpu,time=240.
        retries: How often one is started again after its process or machine has died; being
            preempted does not count.
        report_to: Experiment trackers to log to: wandb, mlflow, tensorboard, trackio.
        report_group: Group of the runs in the trackers (default: none; fill: the table's title).
        plugins: Python files that register metrics, methods, backends, builders, analyses or
            prompts; they run when they are loaded, so name only files that you trust.
        storage_options: Options of fsspec for a folder that is a URL, as in endpoint_url=https://…;
            better keep passwords in the environment.
        work: Folder of the local copies of folders that are URLs (default: $KDBENCH_REMOTE_CACHE,
            else the user's cache).

    Returns:
        The table's text, and what failed.

    Raises:
        InputError: Anything about the table file, models or data that the caller can fix.
    """


@keyed
def mechanisms(
    table: str | PathLike[str],
    *,
    results: str | PathLike[str] | None = None,
    plugins: str | PathLike[str] | Sequence[str | PathLike[str]] = (),
    storage_options: str | Mapping[str, Any] = {},
    work: str | PathLike[str] | None = None,
) -> "MechanismTable":
    """Show whether methods moved what their ideas should move.

    The keys are those of `kdbench mechanisms --help`.

    Args:
        table: Table file, or the name of a bundled one.
        results: Folder of the results (default: as in the table file).
        plugins: Python files that register metrics, methods, backends, builders, analyses or
            prompts; they run when they are loaded, so name only files that you trust.
        storage_options: Options of fsspec for a folder that is a URL, as in endpoint_url=https://…;
            better keep passwords in the environment.
        work: Folder of the local copies of folders that are URLs (default: $KDBENCH_REMOTE_CACHE,
            else the user's cache).

    Returns:
        The table, which `print` shows.

    Raises:
        InputError: Anything about the table file or results that the caller can fix.
    """


@keyed
def frontier(
    table: str | PathLike[str] | None = None,
    *,
    students: str | Sequence[str] = (),
    rows: str | Sequence[str] = (),
    baseline: str | PathLike[str] | None = None,
    changes: Mapping[str, str] = {},
    temperatures: float | str | Sequence[float] = (0.3, 0.5, 0.7, 0.85, 1.0, 1.2),
    metric: str | None = None,
    models: str | PathLike[str] | None = None,
    results: str | PathLike[str] | None = None,
    data: str | PathLike[str] | None = None,
    limit: int | None = None,
    run_code: str | Sequence[str] = (),
    tasks: str | PathLike[str] | Sequence[str | PathLike[str]] = (
        "dolly",
        "self_instruct",
        "vicuna",
        "super_natural",
        "unnatural",
    ),
    protocol: str = "minillm",
    max_prompt_tokens: int | None = None,
    max_new_tokens: int | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    top_k: int | None = None,
    no_repeat_ngram_size: int | None = None,
    add_bos: bool | None = None,
    seeds: int | str | Sequence[int] | None = None,
    chat_template: str | None = None,
    chat_template_kwargs: str | Mapping[str, Any] | None = None,
    system: str | None = None,
    thinking: Literal["strip", "keep"] | None = None,
    thinking_marks: str | tuple[str, str] | None = None,
    judge: str | PathLike[str] | None = None,
    judge_url: str | None = None,
    judge_key_env: str | None = None,
    judge_against: str | PathLike[str] | None = None,
    judge_prompt: str | PathLike[str] | None = None,
    judge_seeds: int | str | Sequence[int] | None = None,
    judge_limit: int | None = None,
    judge_max_tokens: int = 1024,
    judge_options: str | Mapping[str, Any] = {},
    judge_concurrency: int = 8,
    judge_timeout: float = 120,
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
    device: str = "auto",
    batch_size: int | Literal["auto"] = "auto",
    plugins: str | PathLike[str] | Sequence[str | PathLike[str]] = (),
    storage_options: str | Mapping[str, Any] = {},
    work: str | PathLike[str] | None = None,
    unsafe_pickle: bool = False,
    trust_remote_code: bool = False,
) -> "Frontier":
    """Compare students by their curves of quality against entropy.

    The keys are those of `kdbench frontier --help`.

    Args:
        table: Table file, or the name of a bundled one: the checkpoints of its rows, of all
            training seeds.
        students: Checkpoints to compare, in place of a table: folders, or names on the Hub.
        rows: Students to compare, by label (default: all).
        baseline: Student whose curve the others are compared with, by label (default: the table's
            undistilled, else SFT).
        changes: Changes to keys of the table file, the same as when it was filled; on the command
            line each is a key with dots, as in teacher.train.student=path/to/model.
        temperatures: Sampling temperatures at which each student is measured; 0 is greedy decoding.
        metric: Metric of quality, also a judge's with judge= (default: rougeL, or the tasks' main
            metric).
        models: Folder of the table's checkpoints (default: as in the table file).
        results: Folder of the results, in whose folder frontier/ the runs at each temperature are
            (default: the table's, else results).
        data: Folder of the data sets (default: $KDBENCH_DATA, else the Hub).
        limit: Number of documents to use, from the start of each task.
        run_code: Tasks that may run code that the model wrote, on this machine, by name; sets
            HF_ALLOW_CODE_EVAL=1.
        tasks: Task names, lm-eval YAML files, lm_eval:NAME for lm-eval's own, or prompts:
            FILE.jsonl, .json, .csv, .tsv or .parquet, or hf:NAME:SPLIT of a data set.
        protocol: Named protocol: minillm, greedy or chat; see kdbench protocols.
        max_prompt_tokens: Prompt length limit, in tokens; longer prompts are cut, none for no cut
            (default: the protocol's, as for the keys below).
        max_new_tokens: Response length limit, in tokens.
        temperature: Sampling temperature; 0 is greedy decoding.
        top_p: Probability mass of nucleus sampling; 1 turns it off.
        top_k: Number of most likely tokens to sample from; 0 turns it off.
        no_repeat_ngram_size: Length of n-grams that may not repeat, in tokens; 0 turns the rule
            off.
        add_bos: Whether the BOS token precedes the prompt.
        seeds: Sampling seeds, as in 10,20,30 or 1-16.
        chat_template: Chat template for protocol=chat: a file, or the name of one of the
            tokenizer's (default: the tokenizer's default).
        chat_template_kwargs: Variables of the chat template, as in enable_thinking=false.
        system: System turn of the prompts for protocol=chat: a text, or @FILE.
        thinking: Whether the thinking, up to the model's end-of-thinking mark, is scored: strip
            leaves it out of the answer (the default), keep scores the whole response.
        thinking_marks: Marks around the thinking, as in <think>,</think> (default: those that the
            tokenizer and the chat template are known to have).
        judge: Model that judges the responses: openai:MODEL on a server with OpenAI's API, or a
            checkpoint.
        judge_url: Address of the judge's server, as in http://localhost:8000/v1 (default:
            OpenAI's).
        judge_key_env: Name of the environment variable that holds the server's key (default:
            OPENAI_API_KEY for OpenAI's own address, no key elsewhere).
        judge_against: What the responses are compared with, in both orders: reference, teacher, or
            another run, by folder or by model in results= (default: they are graded instead).
        judge_prompt: Jinja template of the judge's prompt (default: a bundled one).
        judge_seeds: Seeds of the samples to judge (default: all of the run).
        judge_limit: Number of documents to judge, from the start of each task (default: all).
        judge_max_tokens: Length limit of the judge's reply, in tokens.
        judge_options: Further fields of a request to the server, as in reasoning_effort=low; none
            leaves a field out, as in temperature=none.
        judge_concurrency: Number of requests that are sent to the server at once.
        judge_timeout: Seconds to wait for the server's reply.
        dtype: Number format of weights and activations; auto is the checkpoint's.
        device: Device: auto, cpu, cuda, cuda:1 or mps.
        batch_size: Number of sequences that decode at once.
        plugins: Python files that register metrics, methods, backends, builders, analyses or
            prompts; they run when they are loaded, so name only files that you trust.
        storage_options: Options of fsspec for a folder that is a URL, as in endpoint_url=https://…;
            better keep passwords in the environment.
        work: Folder of the local copies of folders that are URLs (default: $KDBENCH_REMOTE_CACHE,
            else the user's cache).
        unsafe_pickle: Permission to read pickle weights (*.bin), which can run code.
        trust_remote_code: Permission to run Python code that comes with the checkpoint.

    Returns:
        The curves and gains, which `print` shows.

    Raises:
        InputError: Anything about the table file, models, data or settings that the caller can fix.
    """


@keyed
def table(
    results: str | PathLike[str] = "results",
    *,
    rows: str | Sequence[str] = (),
    settings: str | Sequence[str] = (),
    published: Literal["verified", "second_hand", "all", "none"] = "none",
    baselines: str | PathLike[str] | None = None,
    tasks: str | PathLike[str] | Sequence[str | PathLike[str]] = (
        "dolly",
        "self_instruct",
        "vicuna",
        "super_natural",
        "unnatural",
    ),
    metric: str = "rougeL",
    columns: str | Sequence[str] = (),
    by: Literal["category"] | None = None,
    error: Literal["ci", "sd", "both", "none"] = "ci",
    sort: str | None = None,
    price: float | None = None,
    load: str | Mapping[str, Any] = {},
    details: bool = True,
    plugins: str | PathLike[str] | Sequence[str | PathLike[str]] = (),
    storage_options: str | Mapping[str, Any] = {},
    work: str | PathLike[str] | None = None,
) -> "Table":
    """Build the comparison table from results and published numbers.

    The keys are those of `kdbench table --help`.

    Args:
        results: Folder of the results.
        rows: Measured rows to show, by label and in this order (default: all, by name).
        settings: Settings to show, by id: each is a group of rows that compare, which eval and
            train name with setting=; measured shows every measured one (default: all).
        published: Published rows to show, as papers report them; second_hand includes what a third
            party quotes, all also unverified ones (default none, or verified with settings= or
            baselines=).
        baselines: File of published numbers (default: the bundled published.yaml).
        tasks: Tasks to show as columns.
        metric: Metric shown in the cells.
        columns: Columns to show: TASK, AVG, METRIC (its mean over tasks=), TASK:METRIC, log:NAME (a
            value of the training log) or judging for a judge's main metrics (default: the tasks and
            AVG).
        by: Set to category to add a group of rows for each category of prompts, below that of all
            prompts.
        error: Error shown in the cells: 95 % interval over prompts, standard deviation over seeds,
            both or none (default ci, without it on a terminal that is too narrow).
        sort: Column by which the rows of each group are sorted, best first, as in sort=AVG or
            sort=acceptance; sort=-AVG turns the order round (default: by name).
        price: Price of the machine per hour, in any currency; turns tokens a second into a cost.
        load: Load whose speeds are shown, as in concurrency=8,new_tokens=128 (default: the one that
            most rows have).
        details: Whether a document lists run, protocol, seeds, date, machine and command of each
            row.
        plugins: Python files that register metrics, methods, backends, builders, analyses or
            prompts; they run when they are loaded, so name only files that you trust.
        storage_options: Options of fsspec for a folder that is a URL, as in endpoint_url=https://…;
            better keep passwords in the environment.
        work: Folder of the local copies of folders that are URLs (default: $KDBENCH_REMOTE_CACHE,
            else the user's cache).

    Returns:
        The table, which `print` and a notebook show.

    Raises:
        InputError: Unreadable results or baselines, unknown settings, or an empty table.
    """


@keyed
def report(
    results: str | PathLike[str] = "results",
    *,
    baseline: str | PathLike[str] | None = None,
    tasks: str | PathLike[str] | Sequence[str | PathLike[str]] = (),
    score: str = "rougeL",
    fidelity: str = "acceptance@student",
    level: bool = False,
    runs: str | PathLike[str] = "runs",
    published: Literal["verified", "second_hand", "all", "none"] = "none",
    baselines: str | PathLike[str] | None = None,
    analyses: str | PathLike[str] = "results/analyses",
    out: str | PathLike[str] = "report",
    single_file: bool = False,
    price: float | None = None,
    load: str | Mapping[str, Any] = {},
    plugins: str | PathLike[str] | Sequence[str | PathLike[str]] = (),
    storage_options: str | Mapping[str, Any] = {},
    work: str | PathLike[str] | None = None,
) -> "Report":
    """Plot the quality of students against their fidelity, and write the report.

    The keys are those of `kdbench report --help`.

    Args:
        results: Folder of the results.
        baseline: Model, method or run folder that was trained without a teacher; gains are relative
            to it.
        tasks: Tasks to show, by name (default: all).
        score: Metric of quality, whose gains are plotted (if all tasks have final answers and one
            is scored by likelihood: answer_accuracy).
        fidelity: Metric of fidelity, whose changes are plotted (if all tasks have final answers and
            one is scored by likelihood: answer_agreement).
        level: Plot gains against fidelity itself instead of its change.
        runs: Folder of checkpoints that kdbench train wrote, whose run cards and training curves
            are shown.
        published: Published rows of the leaderboard; second_hand includes what a third party
            quotes, all also unverified ones.
        baselines: File of published numbers (default: the bundled published.yaml).
        analyses: Folder of the answers that kdbench analyse wrote, which the page Analyses shows.
        out: Folder of the report.
        single_file: Write one page that holds everything, without the folders next to it.
        price: Price of the machine per hour, in any currency; turns tokens a second into a cost.
        load: Load whose speeds are shown, as in concurrency=8,new_tokens=128 (default: the one that
            most rows have).
        plugins: Python files that register metrics, methods, backends, builders, analyses or
            prompts; they run when they are loaded, so name only files that you trust.
        storage_options: Options of fsspec for a folder that is a URL, as in endpoint_url=https://…;
            better keep passwords in the environment.
        work: Folder of the local copies of folders that are URLs (default: $KDBENCH_REMOTE_CACHE,
            else the user's cache).

    Returns:
        The report's numbers and files.

    Raises:
        InputError: Unreadable results, none compared with a teacher, or an unknown setting.
    """


@keyed
def compare(
    base: str | PathLike[str],
    new: str | PathLike[str],
    *,
    tolerance: str | None = None,
    alpha: float = 0.05,
    strict: bool = False,
    require_conclusive: bool = False,
    allow_partial: bool = False,
    by: Literal["category"] | None = None,
    interval: Literal["flip", "bootstrap", "hierarchical"] = "flip",
    resamples: int = 10000,
    gates: str | PathLike[str] = "baselines/gates",
    markdown: str | PathLike[str] | None = None,
    junit: str | PathLike[str] | None = None,
    json: str | PathLike[str] | None = None,
    results: str | PathLike[str] = "results",
    data: str | PathLike[str] | None = None,
    tasks: str | PathLike[str] | Sequence[str | PathLike[str]] = (),
    plugins: str | PathLike[str] | Sequence[str | PathLike[str]] = (),
    storage_options: str | Mapping[str, Any] = {},
    work: str | PathLike[str] | None = None,
) -> "Comparison":
    """Compare two stored runs on the same prompts.

    The keys are those of `kdbench compare --help`.

    Args:
        base: Run to compare with: run folder, model or recipe in results=, or gate's baseline.
        new: Run to judge: run folder, or model or recipe in results=; a recipe is the label of a
            table's row, with all its training seeds.
        tolerance: Largest acceptable loss of each metric, in its unit or in percent of the base's
            mean, as in rougeL:0.5,cut_off:0.02 or rougeL:2% (default: the baseline's, else
            rougeL:0.5).
        alpha: Level of the tests, over all rows.
        strict: Whether a row that is worse also fails the gate.
        require_conclusive: Whether a row that was not shown to be within its tolerance also fails.
        allow_partial: Whether only the tasks and prompts that both runs have are compared.
        by: Set to category to also test the prompts of each category: a row for each, which counts
            like any other row.
        interval: Kind of interval: inverted tests, bootstrap over prompts, or bootstrap over
            prompts and their seeds (needs samples).
        resamples: Number of bootstrap resamples, and of sign flips for more than 20 prompts.
        gates: Folder of the gates' baselines.
        markdown: Markdown file for a pull-request comment.
        junit: JUnit XML file, with a test for each row.
        json: JSON file with every number.
        results: Folder of the results.
        data: Folder of the data sets, to show prompts and references of losses (default:
            KDBENCH_DATA).
        tasks: Names of the tasks to compare (default: all on which a run has a metric of tolerance=
            by prompt; of a gate's baseline all).
        plugins: Python files that register metrics, methods, backends, builders, analyses or
            prompts; they run when they are loaded, so name only files that you trust.
        storage_options: Options of fsspec for a folder that is a URL, as in endpoint_url=https://…;
            better keep passwords in the environment.
        work: Folder of the local copies of folders that are URLs (default: $KDBENCH_REMOTE_CACHE,
            else the user's cache).

    Returns:
        The compared rows, and the gate's decision.

    Raises:
        InputError: A run does not exist, a metric cannot be gated, or a setting is unknown.
    """


@keyed
def regress(
    model: str | PathLike[str] = "",
    *,
    tolerance: str | None = None,
    alpha: float = 0.05,
    strict: bool = False,
    require_conclusive: bool = False,
    allow_partial: bool = False,
    by: Literal["category"] | None = None,
    interval: Literal["flip", "bootstrap", "hierarchical"] = "flip",
    resamples: int = 10000,
    gates: str | PathLike[str] = "baselines/gates",
    markdown: str | PathLike[str] | None = None,
    junit: str | PathLike[str] | None = None,
    json: str | PathLike[str] | None = None,
    run: str | PathLike[str] | None = None,
    baseline: str | PathLike[str],
    update: bool = False,
    reason: str | None = None,
    texts: int = 100,
    revision: str | None = None,
    card: str | PathLike[str] | None = None,
    teacher: str | PathLike[str] | None = None,
    teacher_revision: str | None = None,
    teacher_name: str | None = None,
    undistilled: str | PathLike[str] | None = None,
    undistilled_name: str | None = None,
    teacher_cache: str | PathLike[str] | None = None,
    cache_top_k: int = 64,
    teacher_scores: Literal["model", "engine"] = "model",
    token_details: bool = True,
    teacher_api: Literal["vllm", "sglang", "openai"] | None = None,
    teacher_model: str | None = None,
    teacher_field: str | None = None,
    teacher_tokenizer: str | None = None,
    teacher_check: str | None = None,
    teacher_concurrency: int = 8,
    teacher_timeout: float = 120,
    teacher_budget: int | None = None,
    teacher_key_env: str | None = None,
    data: str | PathLike[str] | None = None,
    limit: int | None = None,
    run_code: str | Sequence[str] = (),
    tasks: str
    | PathLike[str]
    | Sequence[str | PathLike[str] | Mapping[str, Any]]
    | HasRows
    | Mapping[str, Rows] = (),
    protocol: str = "",
    max_prompt_tokens: int | None = None,
    max_new_tokens: int | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    top_k: int | None = None,
    no_repeat_ngram_size: int | None = None,
    add_bos: bool | None = None,
    seeds: int | str | Sequence[int] | None = None,
    chat_template: str | None = None,
    chat_template_kwargs: str | Mapping[str, Any] | None = None,
    system: str | None = None,
    thinking: Literal["strip", "keep"] | None = None,
    thinking_marks: str | tuple[str, str] | None = None,
    metrics: str | Sequence[str] = (),
    rouge_tokenizer: Literal["rouge", "unicode", "characters"] = "rouge",
    judge: str | PathLike[str] | None = None,
    judge_url: str | None = None,
    judge_key_env: str | None = None,
    judge_against: str | PathLike[str] | None = None,
    judge_prompt: str | PathLike[str] | None = None,
    judge_seeds: int | str | Sequence[int] | None = None,
    judge_limit: int | None = None,
    judge_max_tokens: int = 1024,
    judge_options: str | Mapping[str, Any] = {},
    judge_concurrency: int = 8,
    judge_timeout: float = 120,
    report_to: str | Sequence[str] = (),
    report_group: str | None = None,
    name: str | None = None,
    method: str | None = None,
    setting: str | None = None,
    results: str | PathLike[str] = "results",
    quantization: Literal["8bit", "4bit"] | None = None,
    teacher_quantization: Literal["8bit", "4bit"] | None = None,
    backend: str = "hf",
    backend_options: str | Mapping[str, Any] = {},
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
    device: str = "auto",
    batch_size: int | Literal["auto"] = "auto",
    shards: int | None = None,
    executor: str = "local",
    executor_options: str | Mapping[str, Any] = {},
    plugins: str | PathLike[str] | Sequence[str | PathLike[str]] = (),
    storage_options: str | Mapping[str, Any] = {},
    work: str | PathLike[str] | None = None,
    shard: str | None = None,
    unsafe_pickle: bool = False,
    trust_remote_code: bool = False,
) -> "GateResult":
    """Gate a checkpoint against a baseline.

    The keys are those of `kdbench regress --help`.

    Args:
        model: Checkpoint to measure: folder, GGUF file, or model on the Hub (org/name or
            org/name@revision).
        tolerance: Largest acceptable loss of each metric, in its unit or in percent of the base's
            mean, as in rougeL:0.5,cut_off:0.02 or rougeL:2% (default: the baseline's, else
            rougeL:0.5).
        alpha: Level of the tests, over all rows.
        strict: Whether a row that is worse also fails the gate.
        require_conclusive: Whether a row that was not shown to be within its tolerance also fails.
        allow_partial: Whether only the tasks and prompts that both runs have are compared.
        by: Set to category to also test the prompts of each category: a row for each, which counts
            like any other row.
        interval: Kind of interval: inverted tests, bootstrap over prompts, or bootstrap over
            prompts and their seeds (needs samples).
        resamples: Number of bootstrap resamples, and of sign flips for more than 20 prompts.
        gates: Folder of the gates' baselines.
        markdown: Markdown file for a pull-request comment.
        junit: JUnit XML file, with a test for each row.
        json: JSON file with every number.
        run: Stored run to judge, instead of model=: run folder, or model in results=.
        baseline: Gate's baseline: name in gates=, or file; or run folder, or model in results=.
        update: Whether the baseline is written instead of being compared with.
        reason: Reason for the new baseline, stored in it (required with --update).
        texts: With --update, largest number of prompts of each task whose texts the baseline keeps,
            to show a later loss without the samples; 0 for none.
        revision: Branch, tag or commit of a model on the Hub.
        card: Card of a checkpoint that another tool trained (default: kdbench.yaml next to the
            weights).
        teacher: Teacher to compare with: a checkpoint, cache:DIR for stored scores, or the address
            of a server, http://…; adds the fidelity metrics.
        teacher_revision: Branch, tag or commit of a teacher on the Hub.
        teacher_name: Teacher's name in results and tables (default: its folder's name).
        undistilled: Checkpoint of the student before distillation, which sets the floor of
            fidelity.
        undistilled_name: Undistilled student's name in results and tables (default: its folder's
            name).
        teacher_cache: Folder in which to store the teacher's scores, for a later teacher=cache:DIR.
        cache_top_k: Number of most likely tokens stored per position, or requested from the engine
            with teacher_scores=engine, or from the teacher's server.
        teacher_scores: Source of the teacher's scores: the loaded model (exact), or the top
            cache_top_k tokens from the backend's engine (bounds).
        token_details: Whether to store the acceptance and the teacher's likeliest tokens at each
            token of the student's responses; does not affect the results.
        teacher_api: API of the teacher's server: vllm (prompt_logprobs), sglang (/generate) or
            openai (echo and logprobs) (default: what its list of models shows).
        teacher_model: Name of the teacher on its server; by tag, as in math=NAME,code=NAME, for
            several (default: the server's only model).
        teacher_field: Column of the training rows that names the teacher of each, with several
            teachers as in teacher=math=http://…,code=http://… (default: domain).
        teacher_tokenizer: Folder or model on the Hub with the teacher's tokenizer (default: the
            student's, which the server must share).
        teacher_check: Checkpoint whose log-probabilities the server's must equal at the start, up
            to rounding.
        teacher_concurrency: Number of requests to the teacher's server at once.
        teacher_timeout: Seconds to wait for the teacher's server.
        teacher_budget: Number of tokens that this command may send to the teacher's server
            (default: no limit).
        teacher_key_env: Name of the environment variable that holds the key of the teacher's
            server.
        data: Folder of the data sets (default: $KDBENCH_DATA, else the Hub).
        limit: Number of documents to use of each task (default: the baseline's; with --update all).
        run_code: Tasks that may run code that the model wrote, on this machine, by name; sets
            HF_ALLOW_CODE_EVAL=1.
        tasks: Task names, lm-eval YAML files or prompts (default: the baseline's tasks; with
            --update dolly,self_instruct,vicuna,super_natural,unnatural). Or rows of prompts, or a
            mapping of names to such rows.
        protocol: Named protocol: minillm, greedy or chat (default: the baseline's, with its
            overrides; with --update minillm).
        max_prompt_tokens: Prompt length limit, in tokens; longer prompts are cut, none for no cut
            (default: the protocol's, as for the keys below).
        max_new_tokens: Response length limit, in tokens.
        temperature: Sampling temperature; 0 is greedy decoding.
        top_p: Probability mass of nucleus sampling; 1 turns it off.
        top_k: Number of most likely tokens to sample from; 0 turns it off.
        no_repeat_ngram_size: Length of n-grams that may not repeat, in tokens; 0 turns the rule
            off.
        add_bos: Whether the BOS token precedes the prompt.
        seeds: Sampling seeds, as in 10,20,30 or 1-16.
        chat_template: Chat template for protocol=chat: a file, or the name of one of the
            tokenizer's (default: the tokenizer's default).
        chat_template_kwargs: Variables of the chat template, as in enable_thinking=false.
        system: System turn of the prompts for protocol=chat: a text, or @FILE.
        thinking: Whether the thinking, up to the model's end-of-thinking mark, is scored: strip
            leaves it out of the answer (the default), keep scores the whole response.
        thinking_marks: Marks around the thinking, as in <think>,</think> (default: those that the
            tokenizer and the chat template are known to have).
        metrics: Metrics to measure, by name (default: the metrics of the tolerance).
        rouge_tokenizer: What ROUGE-L compares: rouge (stemmed words of a-z and 0-9, as in papers),
            unicode (words of any script) or characters; the metric is then called rougeL[…].
        judge: Model that judges the responses: openai:MODEL on a server with OpenAI's API, or a
            checkpoint.
        judge_url: Address of the judge's server, as in http://localhost:8000/v1 (default:
            OpenAI's).
        judge_key_env: Name of the environment variable that holds the server's key (default:
            OPENAI_API_KEY for OpenAI's own address, no key elsewhere).
        judge_against: What the responses are compared with, in both orders: reference, teacher, or
            another run, by folder or by model in results= (default: they are graded instead).
        judge_prompt: Jinja template of the judge's prompt (default: a bundled one).
        judge_seeds: Seeds of the samples to judge (default: all of the run).
        judge_limit: Number of documents to judge, from the start of each task (default: all).
        judge_max_tokens: Length limit of the judge's reply, in tokens.
        judge_options: Further fields of a request to the server, as in reasoning_effort=low; none
            leaves a field out, as in temperature=none.
        judge_concurrency: Number of requests that are sent to the server at once.
        judge_timeout: Seconds to wait for the server's reply.
        report_to: Experiment trackers to log to: wandb, mlflow, tensorboard, trackio.
        report_group: Group of the runs in the trackers (default: none; fill: the table's title).
        name: Model's name in results and tables (default: its folder's or file's).
        method: Row label in tables, such as GKD (default: the run card's, else the name).
        setting: Setting that the run belongs to; a table groups the rows of one setting (default:
            the run card's).
        results: Folder of the results.
        quantization: Load the model's weights in 8 or 4 bits, with bitsandbytes; part of the run's
            identity.
        teacher_quantization: Load the teacher's weights in 8 or 4 bits, with bitsandbytes.
        backend: Generation backend; see kdbench backends.
        backend_options: Options of the backend, as in tensor_parallel_size=2,max_model_len=1024.
        dtype: Number format of weights and activations; auto is the checkpoint's.
        device: Device: auto, cpu, cuda, cuda:1 or mps.
        batch_size: Number of sequences that decode at once.
        shards: Number of processes that share the documents; each takes a GPU where there are
            several, and its share of the cores.
        executor: Where they run: local (this machine), ray or slurm.
        executor_options: Options of the executor, as in partition=gpu,time=240.
        plugins: Python files that register metrics, methods, backends, builders, analyses or
            prompts; they run when they are loaded, so name only files that you trust.
        storage_options: Options of fsspec for a folder that is a URL, as in endpoint_url=https://…;
            better keep passwords in the environment.
        work: Folder of the local copies of folders that are URLs (default: $KDBENCH_REMOTE_CACHE,
            else the user's cache).
        shard: Share of the documents to process, I/N: every N-th document, starting at I.
        unsafe_pickle: Permission to read pickle weights (*.bin), which can run code.
        trust_remote_code: Permission to run Python code that comes with the checkpoint.

    Returns:
        The comparison, or the baseline that was written.

    Raises:
        InputError: Anything about model, baseline, data or settings that the caller can fix.
    """


@keyed
def plan(
    run: str | PathLike[str],
    *,
    against: str | PathLike[str] | None = None,
    tolerance: str = "rougeL:0.5",
    alpha: float = 0.05,
    power: float = 0.8,
    seeds: int | str | Sequence[int] = (1, 2, 3, 5, 10),
    train_seeds: int | str | Sequence[int] = (2, 3, 5, 10),
    results: str | PathLike[str] = "results",
    gates: str | PathLike[str] = "baselines/gates",
    tasks: str | PathLike[str] | Sequence[str | PathLike[str]] = (),
) -> "AnyPlan":
    """Estimate how many prompts and seeds a gate needs.

    The keys are those of `kdbench plan --help`.

    Args:
        run: Run whose variance is used: run folder, or model in results=; of a recipe with several
            training seeds, the plan says how many of them are needed.
        against: Second run or recipe; the variance of the difference between the two is then used.
        tolerance: Smallest loss of each metric that the gate must detect.
        alpha: Level of the gate's tests.
        power: Probability of detecting that loss.
        seeds: Numbers of seeds to plan for.
        train_seeds: Numbers of training seeds to plan for, if run= is a recipe.
        results: Folder of the results.
        gates: Folder of the gates' baselines.
        tasks: Names of the tasks to plan for (default: all).

    Returns:
        The plan, which `print` and a notebook show.

    Raises:
        InputError: The run does not exist or has no samples, or a setting is unknown.
    """
