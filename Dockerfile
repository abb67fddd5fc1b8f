# syntax=docker/dockerfile:1

# Everything is built into one virtual environment; the second stage takes that and nothing else.
FROM python:3.11-slim-bookworm AS build
WORKDIR /build
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
# Recordings are mounted here, read-only; the shipped ones are here already. The root file system may be
# read-only: nothing is written but what an option names (--out, --report), and /tmp by `reactor bench`.
WORKDIR /tapes
COPY fixtures ./fixtures
# A number, so that "runAsNonRoot" can be checked without the image's /etc/passwd.
USER 10001:10001
# As process 1, Python ignores a SIGTERM that nothing handles, and always handles SIGINT: with this
# signal a stop is immediate, and no init in front of the one process is needed.
STOPSIGNAL SIGINT
# Nothing listens in a replay: healthy means that the program starts. A process that listens will be asked
# over HTTP here instead.
HEALTHCHECK --interval=60s --timeout=10s --start-period=5s --retries=3 CMD ["reactor", "--version"]
ENTRYPOINT ["reactor"]
CMD ["--help"]
