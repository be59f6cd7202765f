# Ancestral images: `docker build --tag ancestral:cpu .`, and for NVIDIA GPUs `docker build --target gpu --tag ancestral:gpu .`.
# How they are run: docs/deployment.md.
#
# BASE can be any Debian image with `python3` (3.11 or newer, with venv).
ARG BASE=python:3.13-slim-trixie

# Builds the wheels, from exactly the files whose hashes are in requirements/. This stage does not ship.
FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev && rm -r /var/lib/apt/lists/*
COPY requirements/ requirements/
RUN python3 -m venv /opt/build \
    && /opt/build/bin/pip install --require-hashes --requirement requirements/build.txt
COPY pyproject.toml hatch_build.py README.md LICENSE NOTICE ./
COPY ancestral/ ancestral/
COPY models/ models/
COPY service/ service/
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels/ancestral .

COPY deploy/container/assemble.sh /usr/local/bin/assemble

FROM build AS build-cpu
RUN assemble cpu

FROM build AS build-gpu
RUN assemble gpu

FROM ${BASE} AS runtime
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /data --shell /usr/sbin/nologin ancestral \
    && install --directory --owner ancestral --group ancestral --mode 700 /data
ENV PATH=/opt/ancestral/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    ANCESTRAL_HOST=0.0.0.0 \
    ANCESTRAL_DATA_DIR=/data
COPY --chmod=755 deploy/container/probe.py /usr/local/bin/probe
WORKDIR /data
USER 10001:10001
VOLUME ["/data"]
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 CMD ["probe", "/healthz"]
ENTRYPOINT ["ancestral"]
CMD ["serve"]

FROM runtime AS gpu
ENV LD_LIBRARY_PATH=/opt/ancestral/cuda NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=build-gpu /opt/ancestral /opt/ancestral

FROM runtime AS cpu
COPY --from=build-cpu /opt/ancestral /opt/ancestral
