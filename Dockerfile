# syntax=docker/dockerfile:1
# docker build -t finesweep .                      a CPU image
# docker build -t finesweep --build-arg TORCH=cuda .  with PyTorch's CUDA build
# docker run --rm -v "$PWD/outputs:/app/outputs" finesweep train -m finetune_strategy=full,lora seed=1,2
ARG PYTHON=3.11
FROM python:${PYTHON}-slim

# cpu takes the small build from PyTorch's own index; cuda takes PyPI's, which brings the CUDA libraries along.
ARG TORCH=cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1
WORKDIR /app

# Dependencies first: this layer is rebuilt only when the lock changes.
COPY requirements.lock ./
RUN python -m pip install "$(grep '^pip==' requirements.lock)" \
 && if [ "$TORCH" = cpu ]; then \
      python -m pip install --index-url https://download.pytorch.org/whl/cpu "$(grep '^torch==' requirements.lock)"; \
    fi \
 && python -m pip install --build-constraint requirements.lock -r requirements.lock

COPY pyproject.toml README.md LICENSE ./
COPY conf ./conf
COPY src ./src
RUN python -m pip install --no-build-isolation --no-deps .

RUN useradd --create-home finesweep && mkdir -p outputs && chown finesweep outputs
USER finesweep
ENTRYPOINT ["finesweep"]
CMD ["--help"]
