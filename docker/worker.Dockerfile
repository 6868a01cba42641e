# A training worker. Build from the repository's root, for a GPU with `--build-arg BACKEND=gpu`:
#   docker build --file docker/worker.Dockerfile .
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
RUN python tools/image.py "worker-${BACKEND}" /opt/engrain

FROM python:3.11.13-slim-bookworm
RUN groupadd --gid 10001 engrain \
 && useradd --uid 10001 --gid engrain --home-dir /data --no-create-home engrain \
 && install --directory --owner engrain --group engrain /data /data/adapters /data/models /secrets
COPY --from=build /opt/engrain /opt/engrain
ENV PATH=/opt/engrain/bin:$PATH \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1 \
    ENGRAIN_DATA_FOLDER=/data \
    ENGRAIN_WORKER_METRICS_ADDRESS=0.0.0.0:9102
USER 10001:10001
WORKDIR /data
EXPOSE 9102
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --retries=6 \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:9102/metrics', timeout=4)"]
CMD ["python", "-m", "worker"]
