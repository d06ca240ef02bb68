# Three images from one lock: `serving` (HAProxy, the controller, its model servers), `model_server` (one model server alone, for
# other platforms) and `airworthy` (Airflow and MLflow).
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS builder
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never UV_SYSTEM_CERTS=true
RUN pip install --no-cache-dir --root-user-action=ignore uv==0.13.8
WORKDIR /build
RUN uv venv --quiet --python /usr/local/bin/python3 /opt/venv
ENV VIRTUAL_ENV=/opt/venv
COPY requirements.txt ./

FROM builder AS whole
RUN --mount=type=cache,target=/root/.cache/uv uv pip sync --quiet requirements.txt

FROM builder AS smallest
COPY docker/model_server.in ./
RUN --mount=type=cache,target=/root/.cache/uv \
    uv pip install --quiet --constraint requirements.txt --requirement model_server.in

FROM smallest AS small
COPY docker/serving.in ./
RUN --mount=type=cache,target=/root/.cache/uv \
    uv pip install --quiet --constraint requirements.txt --requirement serving.in

FROM ${PYTHON_IMAGE} AS base
RUN groupadd --gid 10001 airworthy \
 && useradd --uid 10001 --gid airworthy --home-dir /var/lib/airworthy --shell /usr/sbin/nologin airworthy \
 && install --directory --owner=airworthy --group=airworthy --mode=0700 \
      /var/lib/airworthy /var/lib/airworthy/airflow /var/lib/airworthy/keys /var/lib/airworthy/keys/trusted
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONPATH=/opt/airworthy:/opt/airworthy/plugins:/opt/airworthy/include/stack/airflow_config \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    AIRWORTHY_HOME=/var/lib/airworthy
WORKDIR /opt/airworthy
COPY docker/healthy.py ./docker/healthy.py

FROM base AS serving
RUN apt-get update \
 && apt-get install --yes --no-install-recommends haproxy \
 && rm -rf /var/lib/apt/lists/*
COPY --from=small /opt/venv /opt/venv
COPY include ./include
USER 10001:10001

FROM base AS model_server
COPY --from=smallest /opt/venv /opt/venv
COPY --chmod=755 docker/serve /usr/local/bin/serve
COPY include ./include
ENV AIRWORTHY_MODEL_SERVER_HOST=0.0.0.0 AIRWORTHY_TRUSTED_KEYS_FOLDER=/etc/airworthy/trusted
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=10s --start-period=2m CMD ["python", "docker/healthy.py", "http://127.0.0.1:8080/ping"]
USER 10001:10001
CMD ["serve"]

FROM base AS airworthy
ENV AIRFLOW_HOME=/var/lib/airworthy/airflow
COPY --from=whole /opt/venv /opt/venv
COPY --chmod=755 docker/airworthy /usr/local/bin/airworthy
COPY requirements.txt airflow_settings.yaml ./
COPY include ./include
COPY plugins ./plugins
COPY dags ./dags
COPY docs ./docs
ARG CODE_VERSION=unknown
ENV AIRWORTHY_CODE_VERSION=${CODE_VERSION}
USER 10001:10001
