"""Sessions and cache in a real Redis, and what is left of the platform while it is away."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import redis
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.db import connection
from django.test import Client

from tds.environment import ROOT
from tds.fleet import tokens
from tds.fleet.models import Tenant
from tests import seeding
from tests.running import free_port, wait_until

# Debian keeps servers where an ordinary user's PATH does not lead.
SERVER: Final = shutil.which("redis-server", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
LOGIN: Final = "/accounts/login/"
DASHBOARD: Final = "/tds_new/telemetria/"

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(SERVER is None, reason="no redis-server: apt-get install redis-server"),
]


class RunningRedis:
    """A private Redis that keeps nothing on disk."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        words = [*(str(SERVER), "--port", str(self.port), "--bind", "127.0.0.1"), "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen(words, cwd=self._folder, stdout=subprocess.DEVNULL)
        wait_until(self.answers, "an answer of Redis")

    def answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url)

    def all_keys(self) -> list[str]:
        with self.client() as client:
            return sorted(key.decode() for key in client.scan_iter())

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait(10)
            self.process = None


def settings_with(folder: Path, **variables: str) -> dict[str, Any]:
    """The settings that a process has with these variables."""
    words = "import json, tds.settings as s; print(json.dumps([s.CACHES, s.SESSION_ENGINE]))"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TDS_", "DJANGO_"))}
    environment = kept | {"PYTHONPATH": str(ROOT / "src"), "TDS_HOME": str(folder)} | variables
    answer = subprocess.run([sys.executable, "-c", words], env=environment, capture_output=True, check=True)
    return dict(zip(("CACHES", "SESSION_ENGINE"), json.loads(answer.stdout), strict=True))


@pytest.fixture
def server(tmp_path: Path, settings: Any) -> Iterator[RunningRedis]:
    """Redis, and the platform as `TDS_REDIS_URL` makes it use that."""
    running = RunningRedis(tmp_path)
    running.start()
    try:
        for name, value in settings_with(tmp_path, TDS_REDIS_URL=running.url).items():
            setattr(settings, name, value)
        yield running
    finally:
        running.kill()


@pytest.fixture
def tenant() -> Tenant:
    tenant = seeding.tenant("acme")
    seeding.person("ana", tenant)
    return tenant


def signed_in() -> Client:
    client = Client(raise_request_exception=False)
    client.post(LOGIN, {"login": "ana", "password": "correct horse"})
    return client


def test_sessions_and_cache_are_in_redis_and_in_no_table(server: RunningRedis, tenant: Tenant) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM tds_new_cache")  # what tests without Redis left there
    client = signed_in()
    assert client.get(DASHBOARD).status_code == 200
    session = client.cookies["sessionid"].value
    cache.set("a-key-of-ours", "x")
    assert {f":1:django.contrib.sessions.cache{session}", ":1:a-key-of-ours"} <= set(server.all_keys())
    assert not Session.objects.exists()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM tds_new_cache")
        assert cursor.fetchone() == (0,)


def test_a_session_in_redis_ends_by_itself(server: RunningRedis, tenant: Tenant) -> None:
    session = signed_in().cookies["sessionid"].value
    with server.client() as client:
        left_s = client.ttl(f":1:django.contrib.sessions.cache{session}")
    assert 13 * 86_400 < left_s <= 14 * 86_400


def test_the_attempts_at_a_password_are_counted_in_redis(server: RunningRedis, tenant: Tenant) -> None:
    for _ in range(5):
        Client().post(LOGIN, {"login": "ana", "password": "wrong"})
    assert any("login_failed" in key for key in server.all_keys())
    assert signed_in().get(DASHBOARD).status_code == 302


def test_signing_out_leaves_nothing_of_the_session(server: RunningRedis, tenant: Tenant) -> None:
    client = signed_in()
    session = client.cookies["sessionid"].value
    client.post("/accounts/logout/")
    assert not any(session in key for key in server.all_keys())


def test_without_a_url_they_are_in_the_database(tmp_path: Path) -> None:
    found = settings_with(tmp_path)
    assert found["CACHES"]["default"]["BACKEND"] == "django.core.cache.backends.db.DatabaseCache"
    assert found["SESSION_ENGINE"] == "django.contrib.sessions.backends.db"


def test_while_redis_is_away_pages_say_so_and_devices_notice_nothing(server: RunningRedis, tenant: Tenant) -> None:
    client = signed_in()
    assert client.get(DASHBOARD).status_code == 200
    server.kill()
    seeding.gateway(tenant, "GW-1")
    _token, secret = tokens.create(tenant)
    assert client.get("/healthz").status_code == 200
    metrics = client.get("/metrics")
    assert metrics.status_code == 200
    assert "tds_database_up 1.0" in metrics.content.decode()
    response = Client().post(
        f"{DASHBOARD}api/leituras/", b"{}", "application/json", headers={"Authorization": f"Bearer {secret}"}
    )
    assert response.json()["erro"] == "missing_field"  # judged as ever
    # Nobody knows who they are: nothing is shown, and nobody is signed out for it.
    assert client.get(f"{DASHBOARD}api/timeline/").json()["erro"] == "sessoes_indisponiveis"
    for address in (DASHBOARD, f"{DASHBOARD}opcoes/", f"{DASHBOARD}api/timeline/", "/admin/"):
        response = client.get(address)
        assert (response.status_code, response["Retry-After"]) == (503, "5"), address
        assert not response.cookies
    # And nobody gets in: passwords could be guessed while attempts are not counted.
    response = client.post(LOGIN, {"login": "ana", "password": "correct horse"}, headers={"accept-language": "en"})
    assert response.status_code == 503
    assert "A part of the platform is away" in response.content.decode()
    assert "redis" not in response.content.decode().lower()
    server.start()
    assert Client().get(DASHBOARD)["Location"].startswith(LOGIN)
    assert signed_in().get(DASHBOARD).status_code == 200
