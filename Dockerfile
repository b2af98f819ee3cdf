# One image for the three processes: `payments serve` (default), `payments worker`, `payments migrate`.
FROM python:3.11-slim-bookworm AS build

RUN pip install --no-cache-dir --disable-pip-version-check uv

ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT=/opt/payments
WORKDIR /build

# The dependencies alone: a change of our code does not install them again.
COPY pyproject.toml uv.lock ./
RUN uv sync --frozen --no-dev --extra notify --no-install-project

COPY README.md LICENSE ./
COPY alembic ./alembic
COPY src ./src
RUN uv sync --frozen --no-dev --extra notify --no-editable


FROM python:3.11-slim-bookworm

RUN useradd --system --uid 10001 --no-create-home payments
COPY --from=build /opt/payments /opt/payments
ENV PATH=/opt/payments/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    ENVIRONMENT=production HOST=0.0.0.0 PORT=8000

USER payments
WORKDIR /
EXPOSE 8000
STOPSIGNAL SIGTERM

# For the API. A worker or a migration has no port: run those with --no-healthcheck.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/livez', timeout=2)"]

CMD ["payments", "serve"]
