"""A small Slurm for tests: its commands, which run jobs as processes of this machine.

`install` writes the commands into a folder for PATH. A job's fate is scripted: the file
`fates.json` maps a part of a job's name to a list with one word for each of its starts: `ok`, or a
state in which Slurm ends it as soon as it has begun; `REQUEUE` sends the signal that announces a
time limit or a preemption, once the file `signal` exists. Jobs wait while the file `held` exists,
and the queue does not answer while the file `down` does. The file `over` ends those that wait.
"""

import contextlib
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

COMMANDS = ("sbatch", "srun", "squeue", "sacct", "scontrol", "scancel", "sinfo")


def install(folder: Path, gres: str = "(null)", fates: dict[str, list[str]] | None = None) -> Path:
    """Write the commands; returns the folder for PATH."""
    bin_folder, state = folder / "bin", folder / "state"
    for made in (bin_folder, state):
        made.mkdir(parents=True)
    (state / "gres").write_text(gres)
    (state / "fates.json").write_text(json.dumps(fates or {}))
    for name in COMMANDS:
        command = bin_folder / name
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -S {__file__} {state} {name} "$@"\n')
        command.chmod(0o755)
    return bin_folder


class Jobs:
    """The jobs of a fake Slurm, each a file of its folder."""

    def __init__(self, state: Path):
        self.state = state

    def all(self) -> list[dict]:
        return [json.loads(file.read_text()) for file in sorted(self.state.glob("job-*.json"))]

    def read(self, number: str) -> dict:
        return json.loads((self.state / f"job-{number}.json").read_text())

    def change(self, number: str, **values: object) -> None:
        file = self.state / f"job-{number}.json"
        before = json.loads(file.read_text()) if file.exists() else {}
        new = file.with_name(f".new-{os.getpid()}")
        new.write_text(json.dumps({**before, **values}))
        new.replace(file)


def main() -> None:
    jobs, command, arguments = Jobs(Path(sys.argv[1])), sys.argv[2], sys.argv[3:]
    globals()[f"_{command}"](jobs, arguments)


def _sbatch(jobs: Jobs, arguments: list[str]) -> None:
    script = Path(arguments[-1])
    options = dict(re.findall(r"#SBATCH --([\w-]+)=(.*)", script.read_text()))
    if options.get("partition") == "nowhere":
        sys.exit("sbatch: error: invalid partition specified: nowhere")
    with (jobs.state / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        number = str(100 + len(jobs.all()))
        jobs.change(number, id=number, state="PENDING", starts=0, script=str(script), **options)
    subprocess.Popen(
        [sys.executable, "-S", __file__, str(jobs.state), "supervise", number],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _say(f"Submitted batch job {number}")


def _supervise(jobs: Jobs, arguments: list[str]) -> None:
    """Run a job as often as it is queued."""
    (number,) = arguments
    while True:
        job = jobs.read(number)
        while (jobs.state / "held").exists():
            if (jobs.state / "over").exists():
                return
            time.sleep(0.05)
        fate = _fate(jobs, job)
        output = Path(job["output"].replace("%j", number))
        environment = {**os.environ, "SLURM_JOB_ID": number, "FAKE_OUTPUT": str(output)}
        environment |= {"SLURM_NTASKS": "1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}
        process = subprocess.Popen(["bash", job["script"]], env=environment, start_new_session=True)
        jobs.change(number, state="RUNNING", starts=job["starts"] + 1, pid=process.pid)
        if fate != "ok":
            _wait_for_work(jobs, fate, output, process)
            if fate == "REQUEUE":  # to the step, not to the shell of the job
                os.kill(int((jobs.state / f"step-{number}").read_text()), signal.SIGUSR2)
            else:
                os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
        if jobs.read(number)["state"] == "REQUEUED":
            jobs.change(number, state="PENDING")
            continue
        ends = {"ok": "FAILED" if code else "COMPLETED", "REQUEUE": "TIMEOUT"}
        if jobs.read(number)["state"] == "RUNNING":
            jobs.change(number, state=ends.get(fate, fate))
        return


def _fate(jobs: Jobs, job: dict) -> str:
    """What the script says about this start: jobs of one name use up one list."""
    file = jobs.state / "fates.json"
    fates = json.loads(file.read_text())
    for part, words in fates.items():
        if part in job["job-name"] and words:
            word = words.pop(0)
            file.write_text(json.dumps(fates))
            return word
    return "ok"


def _wait_for_work(jobs: Jobs, fate: str, output: Path, process: "subprocess.Popen[bytes]") -> None:
    """Wait until the job has begun; for a signal, until the test says so."""
    while process.poll() is None:
        if fate == "REQUEUE" and (jobs.state / "signal").exists():
            return
        if fate != "REQUEUE" and output.exists() and "Loading pickle" in output.read_text():
            return
        time.sleep(0.05)


def _srun(jobs: Jobs, arguments: list[str]) -> None:
    first = next(at for at, word in enumerate(arguments) if word.endswith(("python", "python3")))
    with Path(os.environ["FAKE_OUTPUT"]).open("a") as output:
        step = subprocess.Popen(arguments[first:], stdout=output, stderr=subprocess.STDOUT)
        (jobs.state / f"step-{os.environ['SLURM_JOB_ID']}").write_text(str(step.pid))
        sys.exit(step.wait())


def _squeue(jobs: Jobs, arguments: list[str]) -> None:
    if (jobs.state / "down").exists():
        sys.exit("slurm_load_jobs error: Unable to contact slurm controller")
    names = [word.partition("=")[2] for word in arguments if word.startswith("--name=")]
    for job in jobs.all():
        is_queued = job["state"] in ("PENDING", "RUNNING", "REQUEUED")
        if is_queued and (not names or job["job-name"] in names):
            _say(job["id"])


def _sacct(jobs: Jobs, arguments: list[str]) -> None:
    _say(jobs.read(arguments[-1])["state"])


def _scontrol(jobs: Jobs, arguments: list[str]) -> None:
    assert arguments[0] == "requeue"
    jobs.change(arguments[1], state="REQUEUED")


def _scancel(jobs: Jobs, arguments: list[str]) -> None:
    job = jobs.read(arguments[0])
    jobs.change(job["id"], state="CANCELLED by 0")
    with contextlib.suppress(ProcessLookupError):
        os.killpg(job["pid"], signal.SIGKILL)


def _sinfo(jobs: Jobs, _: list[str]) -> None:
    _say((jobs.state / "gres").read_text())


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main()
