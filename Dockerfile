# syntax=docker/dockerfile:1
# The hot modules are compiled. Runs as an unprivileged user; the root file system can be read-only.
FROM python:3.13-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends build-essential && rm -rf /var/lib/apt/lists/*
RUN python -m venv /opt/gateway
WORKDIR /src
COPY pyproject.toml setup.py build_backend.py README.md LICENSE ./
COPY gateway gateway
RUN GATEWAY_COMPILE=1 /opt/gateway/bin/pip install --no-cache-dir .

FROM python:3.13-slim
LABEL org.opencontainers.image.title="gray-gateway" \
      org.opencontainers.image.description="Gray-routing gateway and sidecar" \
      org.opencontainers.image.licenses="Apache-2.0"
# For the init container of pods whose calls are intercepted; nothing else uses it.
RUN apt-get update && apt-get install -y --no-install-recommends iptables && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/gateway /opt/gateway
COPY config /etc/gateway/config
COPY rules /etc/gateway/rules
ENV PATH=/opt/gateway/bin:$PATH PYTHONUNBUFFERED=1
USER 65532:65532
WORKDIR /etc/gateway
EXPOSE 8080
STOPSIGNAL SIGTERM
# For `serve`. A sidecar has its admin API on 9901: run it with `--set admin=127.0.0.1:9900`.
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9900/livez', timeout=2)"]
ENTRYPOINT ["gateway"]
CMD ["serve", "-c", "config/gateway.yaml"]
