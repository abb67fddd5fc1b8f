# syntax=docker/dockerfile:1

# Everything is built into one virtual environment; the second stage takes that and nothing else.
FROM python:3.11-slim-bookworm AS build
WORKDIR /build
# The fast path is compiled here; what compiles it stays behind.
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev
COPY pyproject.toml README.md ./
COPY reactor ./reactor
RUN python -m venv /opt/reactor
RUN /opt/reactor/bin/python -m pip install --no-cache-dir '.[columns]'
RUN /opt/reactor/bin/python -m pip uninstall --yes pip setuptools

FROM python:3.11-slim-bookworm
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Exit Reactor" \
      org.opencontainers.image.description="Exits for Binance USD-M futures positions, decided on every tick" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# What installs packages has no use here.
RUN python -m pip uninstall --yes pip setuptools wheel
COPY --from=build /opt/reactor /opt/reactor
ENV PATH=/opt/reactor/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# Recordings are mounted in /tapes, read-only; the shipped ones are there already. The journal and the recordings of
# a live process are in /data: mount a volume there. The rest of the root file system may be read-only.
WORKDIR /tapes
COPY fixtures ./fixtures
RUN mkdir /data && chown 10001:10001 /data
VOLUME /data
ENV REACTOR_DATA_DIR=/data
# A number, so that "runAsNonRoot" can be checked without the image's /etc/passwd.
USER 10001:10001
# `reactor run` handles SIGTERM: exits in flight are seen through, hard stops stay, the journal is written.
STOPSIGNAL SIGTERM
# Healthy means that the running process is ready to be relied on: every position priced, protected, reconciled.
# Commands that listen nowhere (replay, bench) are short and have no use for health: --no-healthcheck.
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 CMD ["reactor", "status", "--check"]
ENTRYPOINT ["reactor"]
CMD ["--help"]
