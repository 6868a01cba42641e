# vLLM with our plugin. Build from the repository's root, for a GPU with `--build-arg BACKEND=gpu`:
#   docker build --file docker/inference.Dockerfile .
FROM python:3.11.13-slim-bookworm AS build
ARG BACKEND=cpu
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY locks ./locks
COPY tools ./tools
COPY knowledge ./knowledge
COPY inference ./inference
COPY service ./service
COPY worker ./worker
COPY command ./command
RUN python tools/image.py "inference-${BACKEND}" /opt/engrain

FROM python:3.11.13-slim-bookworm
# vLLM's kernels for processors are linked with libnuma.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends libnuma1=2.0.16-1 \
 && rm -rf /var/lib/apt/lists/*
RUN groupadd --gid 10001 engrain \
 && useradd --uid 10001 --gid engrain --home-dir /data --no-create-home engrain \
 && install --directory --owner engrain --group engrain /data /data/adapters /data/models
COPY --from=build /opt/engrain /opt/engrain
ENV PATH=/opt/engrain/bin:$PATH \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    ENGRAIN_DATA_FOLDER=/data \
    ENGRAIN_INFERENCE_HOST=0.0.0.0
USER 10001:10001
WORKDIR /data
EXPOSE 8001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=5s --start-period=600s --retries=6 \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8001/health', timeout=4)"]
CMD ["python", "-m", "inference.server"]
