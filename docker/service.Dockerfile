# The API; also what runs the store's migrations and `engrain backup`. Build from the repository's root:
#   docker build --file docker/service.Dockerfile .
FROM python:3.11.13-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY locks ./locks
COPY tools ./tools
COPY knowledge ./knowledge
COPY inference ./inference
COPY service ./service
COPY worker ./worker
COPY command ./command
RUN python tools/image.py service /opt/engrain

FROM python:3.11.13-slim-bookworm
RUN groupadd --gid 10001 engrain \
 && useradd --uid 10001 --gid engrain --home-dir /data --no-create-home engrain \
 && install --directory --owner engrain --group engrain /data /data/adapters /secrets
COPY --from=build /opt/engrain /opt/engrain
ENV PATH=/opt/engrain/bin:$PATH \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1 \
    ENGRAIN_DATA_FOLDER=/data \
    ENGRAIN_HOST=0.0.0.0
USER 10001:10001
WORKDIR /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --retries=6 \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
CMD ["python", "-m", "service"]
