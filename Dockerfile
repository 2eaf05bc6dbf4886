# The coordinator: web, results, recorder, Flower and the commands of `flask --app wsgi`. Neither torch nor ML-Agents.
FROM python:3.11.16-slim-bookworm

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

# The folder is where docker compose's node finds its token: an empty volume mounted there gets this owner.
RUN groupadd --gid 10001 coordinator \
    && useradd --uid 10001 --gid coordinator --no-create-home --home-dir /tmp --shell /usr/sbin/nologin coordinator \
    && install --directory --owner coordinator --group coordinator --mode 700 /run/train-jobs

WORKDIR /app

COPY locks/requirements.txt locks/
RUN pip install --require-hashes --only-binary :all: --no-binary psycogreen -r locks/requirements.txt

COPY celery_app.py wsgi.py gunicorn.conf.py ./
COPY wire wire
COPY coordinator coordinator
COPY migrations migrations
COPY environments environments

USER coordinator
EXPOSE 8080
CMD ["gunicorn", "--config", "gunicorn.conf.py", "wsgi:app"]
