# kdbench on a CPU: docker build --tag kdbench-cpu . && docker run --rm kdbench-cpu --help
# docs/ci.md shows how to give it data, results and models.
FROM python:3.11-slim

# For GPUs: --build-arg TORCH_INDEX=https://pypi.org/simple
# pip takes the wheel of this index before PyPI's, because 2.13.0+cpu is a higher version than 2.13.0.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1

WORKDIR /src
# The wheel of torch, the largest layer, is built again only if its version changes.
COPY constraints.txt ./
RUN pip install --extra-index-url "$TORCH_INDEX" -c constraints.txt torch
COPY pyproject.toml README.md LICENSE ./
COPY kdbench kdbench
COPY tasks tasks
COPY baselines baselines
RUN pip install -c constraints.txt .

# Models and data sets of the Hub; a volume keeps them, and any user may write to it.
ENV HF_HOME=/models
RUN useradd --create-home kdbench && mkdir --mode=1777 /models /bench
VOLUME ["/models"]
WORKDIR /bench
USER kdbench
ENTRYPOINT ["kdbench"]
CMD ["--help"]
