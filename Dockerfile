# The wheel is built in one stage, its core compiled, and installed, with pinned and hashed dependencies, in another, so that
# the image holds no compiler, no build tool and no source tree. Both stages share the base: the environment's Python is a link
# into it, and the compiled core fits no other.

# A release names it by its digest, which deploy/release.py asks the registry for and writes into the labels. For a build of
# your own: --build-arg BASE=docker.io/library/python:3.13-slim@sha256:…
ARG BASE=docker.io/library/python:3.13-slim

FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
# Whatever gcc the base's Debian has: this stage is thrown away.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
# requirements-otel.lock for an image that can send spans.
ARG LOCK=requirements.lock
COPY requirements.lock requirements-otel.lock ./
RUN python3 -m venv /opt/vllm-sse-proxy \
    && /opt/vllm-sse-proxy/bin/python -m pip install --no-compile --require-hashes --only-binary :all: -r "${LOCK}"
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY proxy ./proxy
RUN HATCH_BUILD_HOOKS_ENABLE=1 python3 -m pip wheel --no-deps --wheel-dir /wheels . \
    && /opt/vllm-sse-proxy/bin/python -m pip install --no-compile --no-deps --no-index /wheels/*.whl \
    && /opt/vllm-sse-proxy/bin/python -m pip check \
    && /opt/vllm-sse-proxy/bin/python -m pip uninstall --yes pip
# The bytecode of what is installed, and of what that imports of the standard library, which the base has no bytecode of: each
# start and each health check would compile it again (ADR 103).
ENV PYTHONPYCACHEPREFIX=/opt/vllm-sse-proxy/bytecode
RUN /opt/vllm-sse-proxy/bin/python -m compileall -q /opt/vllm-sse-proxy/lib \
    && /opt/vllm-sse-proxy/bin/python -c 'import importlib, pkgutil, vllm_sse_proxy as package; \
[importlib.import_module(found.name) for found in pkgutil.walk_packages(package.__path__, package.__name__ + ".") \
    if not found.name.endswith("__main__")]'

FROM ${BASE}
ARG BASE
ARG BASE_DIGEST=""
ARG REVISION=""
LABEL org.opencontainers.image.title="vllm-sse-proxy" \
      org.opencontainers.image.description="A reverse proxy that repairs vLLM's streams" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/vllm-sse-proxy/vllm-sse-proxy" \
      org.opencontainers.image.documentation="https://github.com/vllm-sse-proxy/vllm-sse-proxy/blob/main/docs/operations.md" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE}" \
      org.opencontainers.image.base.digest="${BASE_DIGEST}"
COPY --from=build /opt/vllm-sse-proxy /opt/vllm-sse-proxy
# A container's loopback cannot be reached from outside, so it listens on all addresses here. The thresholds are those of
# vllm_sse_proxy/server/heap.py.
ENV PATH=/opt/vllm-sse-proxy/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPYCACHEPREFIX=/opt/vllm-sse-proxy/bytecode \
    MALLOC_TRIM_THRESHOLD_=8388608 \
    MALLOC_MMAP_THRESHOLD_=4194304 \
    SSE_PROXY_HOST=0.0.0.0
# Numeric, as Kubernetes' runAsNonRoot needs it.
USER 10001:10001
EXPOSE 9000 9001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 CMD ["vllm-sse-proxy", "healthcheck"]
ENTRYPOINT ["vllm-sse-proxy"]
CMD ["serve"]
