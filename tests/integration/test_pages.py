"""What holds for every page: headers, no code in the markup, no address elsewhere, the reader's language, no secret."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from time import sleep, time
from typing import Any, Final
from urllib.parse import urljoin

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import include, path

from tds.environment import ROOT
from tds.fleet import tokens
from tds.fleet.models import Membership, Tenant, User
from tests import seeding
from tests.running import free_port

pytestmark = pytest.mark.django_db

PASSWORD: Final = "correct horse"
DASHBOARD: Final = "/tds_new/telemetria/"
LOGIN: Final = "/accounts/login/"
DASHBOARD_FILES: Final = ROOT / "src/tds/dashboard"

ANYBODYS: Final = [
    *("/", LOGIN, "/accounts/signup/", "/accounts/password/reset/", "/accounts/inactive/", "/nada/", "/healthz"),
    *(f"{DASHBOARD}api/docs/", f"{DASHBOARD}api/timeline/", f"{DASHBOARD}opcoes/", f"{DASHBOARD}api/leituras/"),
]
MEMBERS: Final = [
    *(DASHBOARD, "/accounts/logout/", "/accounts/password/change/", "/accounts/email/", "/accounts/2fa/"),
    *("/accounts/2fa/totp/activate/", "/accounts/reauthenticate/", "/accounts/2fa/recovery-codes/", "/admin/"),
    *(f"{DASHBOARD}api/timeline/", f"{DASHBOARD}opcoes/", f"{DASHBOARD}nada/"),
    *(f"{DASHBOARD}registro/", f"{DASHBOARD}api/registro/", f"{DASHBOARD}situacao/", f"{DASHBOARD}api/situacao/"),
    "/tds_new/gateways/",
]
OPERATORS: Final = [
    "/admin/",
    *(f"/admin/tds_new/{name}/" for name in ("user", "tenant", "site", "membership", "gateway", "device", "metric")),
    *(f"/admin/tds_new/{name}/" for name in ("apitoken", "quarantinedmessage", "quarantinecount", "ledgerhour")),
    *(f"/admin/tds_new/{name}/" for name in ("auditentry", "certificate", "claimcode", "gatewaypassword")),
    *(f"/admin/tds_new/{name}/" for name in ("revocationlist", "brokeraccess", "gatewaypresence", "brokerlink")),
    f"{DASHBOARD}situacao/",
    *("/admin/tds_new/user/add/", "/admin/tds_new/gateway/add/", "/admin/password_change/", "/admin/nada/"),
]


def fails(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("a fault of ours, with the word segredo-do-erro")


# For the 500 page: the platform's addresses and one that has a fault.
urlpatterns = [path("fault/", fails), path("", include("tds.urls"))]


@pytest.fixture(autouse=True)
def _no_rate_limits() -> None:
    cache.clear()


@pytest.fixture
def tenant() -> Tenant:
    return seeding.tenant("acme")


@pytest.fixture
def ana(tenant: Tenant) -> User:
    return seeding.person("ana", tenant, email="ana@acme.example")


@pytest.fixture
def operator(tenant: Tenant) -> User:
    user = User.objects.create_superuser("operador", password=PASSWORD)
    Membership.objects.create(user=user, tenant=tenant)
    return user


def sign_in(name: str, password: str = PASSWORD, **fields: Any) -> Client:
    """Through the page, as allauth wants to know when that was."""
    client = Client()
    client.post(LOGIN, {"login": name, "password": password} | fields)
    return client


def signed_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


def pages(operator: User, ana: User) -> Iterator[tuple[str, HttpResponse]]:
    """Every kind of page as everybody sees it who may, and some as those who may not."""
    for client, addresses in (
        (Client(), [*ANYBODYS, DASHBOARD, "/admin/"]),
        (sign_in(ana.username), [*MEMBERS, *ANYBODYS]),
        (
            sign_in(operator.username),
            [*OPERATORS, f"/admin/tds_new/user/{ana.pk}/change/", f"/admin/tds_new/user/{ana.pk}/password/"],
        ),
    ):
        for address in addresses:
            yield address, client.get(address, follow=True)  # type: ignore[misc]  # the client's own kind of response
    yield "bad host", Client().get("/", headers={"host": "elsewhere.example"})  # type: ignore[misc]
    yield "csrf", Client(enforce_csrf_checks=True).post(LOGIN)  # type: ignore[misc]


class Markup(HTMLParser):
    """What a page loads and links to, and what in it the content security policy would stop."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.stopped: list[str] = []
        self.language = ""
        self._script = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "html":
            self.language = found.get("lang", "")
        for name, value in found.items():
            if name in {"src", "href", "action", "formaction", "srcset", "poster", "data"}:
                self.addresses.append(value)
            if name.startswith("on") or name == "style" or value.strip().lower().startswith("javascript:"):
                self.stopped.append(f"<{tag} {name}={value}>")
        data = found.get("type", "").endswith("/json")  # is not run
        if tag == "style" or (tag == "script" and "src" not in found and not data):
            self.stopped.append(f"<{tag}>")


def test_every_page_has_the_headers_of_a_closed_house(operator: User, ana: User) -> None:
    seen = 0
    for address, response in pages(operator, ana):
        policy = dict(part.strip().split(" ", 1) for part in response["Content-Security-Policy"].split(";"))
        assert policy["default-src"] == "'none'", address
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'", address
        assert policy["frame-ancestors"] == policy["base-uri"] == "'none'", address
        assert policy["form-action"] == "'self'", address
        assert "unsafe" not in response["Content-Security-Policy"], address
        assert response["X-Content-Type-Options"] == "nosniff", address
        if address != "bad host":  # refused before the middleware that sets it; the policy says the same
            assert response["X-Frame-Options"] == "DENY", address
        assert response["Referrer-Policy"] == "same-origin", address
        assert response["Cross-Origin-Opener-Policy"] == "same-origin", address
        seen += 1
    assert seen > 40


def test_no_page_has_code_in_its_markup_or_loads_from_elsewhere(operator: User, ana: User) -> None:
    seen = 0
    for address, response in pages(operator, ana):
        if "html" not in response["Content-Type"]:
            continue
        markup = Markup(response.content.decode())
        assert markup.stopped == [], address
        elsewhere = [
            url for url in markup.addresses if re.match(r"\s*(?!data:)([a-z][a-z0-9+.-]*:|//)", url, re.IGNORECASE)
        ]
        assert elsewhere == [], address
        seen += 1
    assert seen > 40


def test_the_look_at_the_markup_finds_what_it_looks_for() -> None:
    bad = (
        '<html lang="x"><p onclick="a()"></p><b style="c"></b><script>1</script><style></style><a href="javascript:1">'
    )
    markup = Markup(bad)
    assert len(markup.stopped) == 5
    assert markup.language == "x"
    assert Markup('<script type="application/json">{}</script><script src="a.js"></script>').stopped == []


def test_nothing_that_pages_load_names_another_host() -> None:
    files = [path for path in DASHBOARD_FILES.rglob("*") if path.suffix in {".html", ".js", ".css", ".svg", ".txt"}]
    assert len(files) > 30
    for path_ in files:
        found = re.findall(r"""(?:https?:|wss?:)?//[\w-]+\.[\w.-]+""", path_.read_text(encoding="utf-8"))
        assert set(found) <= {"http://www.w3.org"}, path_  # a name of SVG, not an address


def test_no_page_shows_a_secret(operator: User, ana: User, tenant: Tenant) -> None:
    token, secret = tokens.create(tenant)
    operator.refresh_from_db()
    ana.refresh_from_db()
    secrets: list[str] = [
        *(settings.SECRET_KEY, str(settings.DATABASES["default"]["PASSWORD"]), secret, token.sha256, PASSWORD),
        *(ana.password, operator.password, ana.password.split("$")[-1]),
    ]
    for address, response in pages(operator, ana):
        text = response.content.decode()
        assert [hidden for hidden in secrets if hidden in text] == [], address
        assert "Traceback" not in text, address


def test_nobody_makes_an_account_for_themselves() -> None:
    fields = {"username": "eu", "password1": "uma senha longa", "password2": "uma senha longa", "email": "eu@x.example"}
    for method in ("get", "post"):
        response = getattr(Client(), method)("/accounts/signup/", fields)
        assert response.status_code == 200
        assert b"<form" not in response.content.split(b"<main")[1]
    assert not User.objects.exists()


def test_the_description_of_the_api_is_for_who_has_signed_in(ana: User) -> None:
    for address, kind in ((f"{DASHBOARD}api/docs/", "text/html"), (f"{DASHBOARD}api/openapi.json", "application/json")):
        assert Client().get(address)["Location"].startswith(LOGIN)
        response = sign_in("ana").get(address)
        assert (response.status_code, response["Content-Type"].split(";")[0]) == (200, kind)


def test_no_page_promises_a_mail_that_nobody_sends(ana: User, settings: Any) -> None:
    # pytest-django's outbox would take it; the platform has no mail server.
    settings.EMAIL_BACKEND, settings.EMAIL_PORT = "django.core.mail.backends.smtp.EmailBackend", free_port()
    client = sign_in("ana")
    for address in ("/accounts/password/reset/", "/accounts/email/"):
        assert client.get(address).status_code == 404
        assert client.post(address, {"email": "ana@acme.example", "action_add": ""}).status_code == 404
    changing = client.get("/accounts/password/change/", headers={"accept-language": "en"}).content.decode()
    assert "The person who runs this platform can help." in changing
    # An address that waits for its mail for ever would keep its owner from a second factor.
    assert not EmailAddress.objects.exists()


def test_no_link_leads_nowhere(operator: User, ana: User) -> None:
    for user in (ana, operator):
        client, linked = sign_in(user.username), dict[str, str]()
        for page in (DASHBOARD, *MEMBERS[1:7], *(OPERATORS if user is operator else [])):
            response = client.get(page, follow=True)
            is_page = response.status_code == 200 and "html" in response["Content-Type"]
            links = Markup(response.content.decode()).addresses if is_page else []
            linked |= {urljoin(page, link).split("#")[0]: page for link in links if not link.startswith("data:")}
        for link, page in linked.items():  # each once, however many pages have it
            if not link.startswith("/static/"):
                assert client.get(link).status_code != 404, (page, link)


def test_the_sixth_attempt_at_a_password_is_refused_although_it_is_right(ana: User) -> None:
    for _ in range(5):
        assert not signed_in(sign_in("ana", "wrong"))
    assert not signed_in(sign_in("ana"))
    # Whoever guesses may not come back as somebody else.
    guesser = Client(headers={"x-forwarded-for": "203.0.113.9"}, REMOTE_ADDR="203.0.113.8")
    guesser.post(LOGIN, {"login": "ANA", "password": PASSWORD})
    assert not signed_in(guesser)
    cache.clear()  # five minutes later
    assert signed_in(sign_in("ana"))


def test_an_address_that_goes_on_trying_gets_our_page_that_says_so(ana: User) -> None:
    client = Client(headers={"accept-language": "en"})
    statuses = [client.post(LOGIN, {"login": f"p{n}", "password": "x"}).status_code for n in range(31)]
    assert (statuses[0], statuses[-1]) == (200, 429)
    response = client.post(LOGIN, {"login": "ana", "password": PASSWORD})
    assert "Too many attempts" in response.content.decode()
    # A header that everybody can write is no other address.
    statuses = [
        client.post(LOGIN, {"login": "ana"}, headers={"x-forwarded-for": f"203.0.113.{n}"}).status_code
        for n in range(3)
    ]
    assert statuses == [429] * 3


def test_a_wrong_name_and_a_wrong_password_are_answered_alike(ana: User) -> None:
    def said(name: str) -> str:
        text = Client().post(LOGIN, {"login": name, "password": "wrong"}).content.decode().replace(name, "…")
        return re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", text)

    assert said("ana") == said("bia")


ERRORS: Final = [
    (400, "O pedido não foi entendido", "That request was not understood"),
    (403, "Você não pode fazer isto", "You may not do this"),
    (404, "Não existe tal página", "There is no such page"),
    (500, "Algo falhou do nosso lado", "Something failed on our side"),
]


@pytest.mark.urls(__name__)
@pytest.mark.parametrize(("status", "portuguese", "english"), ERRORS)
def test_an_error_has_our_page_in_the_readers_language(ana: User, status: int, portuguese: str, english: str) -> None:
    client = Client(raise_request_exception=False)
    client.force_login(ana)
    address = {400: "/", 403: "/admin/login/", 404: "/nada/", 500: "/fault/"}[status]
    host = {"host": "elsewhere.example"} if status == 400 else {}
    for language, sentence, other in (("pt-br", portuguese, english), ("en", english, portuguese)):
        client.cookies["django_language"] = language
        response = client.get(address, headers=host)
        text = response.content.decode()
        assert response.status_code == status
        assert Markup(text).language == language
        assert sentence in text
        assert other not in text
        assert "css/tds.css" in text
        assert not re.search(r"Traceback|RuntimeError|segredo-do-erro|DisallowedHost|elsewhere\.example", text)


def test_a_form_without_its_token_has_our_page_too(ana: User) -> None:
    response = Client(enforce_csrf_checks=True).post(LOGIN, {"login": "ana"}, headers={"accept-language": "en"})
    assert response.status_code == 403
    assert "This form is too old" in response.content.decode()
    assert "CSRF" not in response.content.decode()


@pytest.mark.parametrize(
    ("asked", "language"),
    [("", "pt-br"), ("en", "en"), ("en-GB,en;q=0.9", "en"), ("pt", "pt-br"), ("pt-PT", "pt-br"), ("fr", "pt-br")],
)
def test_a_browser_gets_its_language_and_any_other_gets_portuguese(asked: str, language: str) -> None:
    response = Client().get(LOGIN, headers={"accept-language": asked})
    assert Markup(response.content.decode()).language == response["Content-Language"] == language
    assert "Accept-Language" in response["Vary"]


def test_a_reader_picks_a_language_and_it_stays(ana: User) -> None:
    client = Client(headers={"accept-language": "en"})
    client.force_login(ana)
    for language, word in (("pt-br", "Telemetria"), ("en", "Telemetry")):
        response = client.post(
            "/i18n/setlang/", {"language": language}, headers={"referer": f"http://testserver{DASHBOARD}"}
        )
        assert (response.status_code, response["Location"]) == (302, f"http://testserver{DASHBOARD}")
        text = client.get(DASHBOARD).content.decode()
        assert Markup(text).language == language
        assert f'<h1 class="visually-hidden">{word}</h1>' in text
    client.post("/i18n/setlang/", {"language": "xx"})
    assert Markup(client.get(DASHBOARD).content.decode()).language == "en"
    assert client.get("/i18n/setlang/").status_code in {302, 405}


@pytest.mark.parametrize(
    "address", ["https://elsewhere.example/", "//elsewhere.example", "javascript:alert(1)", "\\\\e.x"]
)
def test_nobody_is_sent_elsewhere(ana: User, address: str) -> None:
    client = Client()
    sent_to = [
        client.post("/i18n/setlang/", {"language": "en", "next": address})["Location"],
        client.post(LOGIN, {"login": "ana", "password": PASSWORD, "next": address})["Location"],
        client.post("/accounts/logout/", {"next": address})["Location"],
    ]
    assert [place for place in sent_to if not re.match(r"/(?!/)", place)] == []


def test_signing_out_takes_a_post_with_a_token(ana: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(ana)
    assert b'method="post"' in client.get("/accounts/logout/").content
    assert signed_in(client)
    assert client.post("/accounts/logout/").status_code == 403
    assert signed_in(client)
    client.post("/accounts/logout/", headers={"x-csrftoken": client.cookies["csrftoken"].value})
    assert not signed_in(client)
    assert client.get(DASHBOARD)["Location"].startswith(LOGIN)


def test_a_session_begins_anew_with_the_sign_in(ana: User) -> None:
    client = Client()
    client.get(LOGIN)
    client.cookies["sessionid"] = "a" * 32  # planted by somebody who waits
    client.post(LOGIN, {"login": "ana", "password": PASSWORD})
    assert signed_in(client)
    assert client.cookies["sessionid"].value != "a" * 32


def test_scripts_cannot_read_the_session_and_other_sites_cannot_send_it(ana: User) -> None:
    client = sign_in("ana")
    client.get(DASHBOARD)
    session, token = client.cookies["sessionid"], client.cookies["csrftoken"]
    assert session["httponly"]
    assert (session["samesite"], token["samesite"]) == ("Lax", "Lax")
    assert session["path"] == "/"
    assert session["domain"] == ""


@pytest.mark.parametrize("https", ["on", "off"])
def test_behind_https_cookies_never_travel_in_clear(tmp_path: Path, https: str) -> None:
    names = ("SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SECURE_HSTS_SECONDS", "CSRF_TRUSTED_ORIGINS", "DEBUG")
    words = f"import json, tds.settings as s; print(json.dumps([getattr(s, n) for n in {names!r}]))"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TDS_", "DJANGO_"))}
    own = {"PYTHONPATH": str(ROOT / "src"), "TDS_HOME": str(tmp_path), "TDS_ALLOWED_HOSTS": "tds.example"}
    environment = kept | own | {"TDS_HTTPS": https, "TDS_MODE": "production", "TDS_SECRET_KEY": "s" * 40}
    answer = subprocess.run([sys.executable, "-c", words], env=environment, capture_output=True, check=True)
    session, csrf, hsts, origins, debug = json.loads(answer.stdout)
    assert (session, csrf) == (https == "on", https == "on")
    assert (hsts > 0) == (https == "on")
    assert origins == (["https://tds.example"] if https == "on" else [])
    assert debug is False


def code_of(secret: str) -> str:
    if time() % 30 > 28:  # seconds: a code that ends on its way is a wrong one
        sleep(2)
    return str(format_hotp_value(hotp_value(secret, int(time()) // 30)))


def test_a_second_factor_from_its_first_page_to_the_sign_in_with_it(ana: User) -> None:
    client = sign_in("ana")

    def page(address: str) -> str:
        response = client.get(address)
        assert response.status_code == 200, response
        text = response.content.decode()
        assert Markup(text).stopped == []
        assert "css/tds.css" in text  # in our frame
        return text

    assert "/accounts/2fa/totp/activate/" in page("/accounts/2fa/")
    # A session that was left open must not be enough.
    assert client.get("/accounts/2fa/totp/activate/")["Location"].startswith("/accounts/reauthenticate/")
    page("/accounts/reauthenticate/")
    client.post("/accounts/reauthenticate/", {"password": "wrong"})
    assert client.get("/accounts/2fa/totp/activate/").status_code == 302
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    text = page("/accounts/2fa/totp/activate/")
    assert "data:image/svg+xml;base64," in text  # the code to photograph, which the policy lets through
    secret = client.session["mfa.totp.secret"]
    assert secret in text  # to be typed in where there is no camera
    response = client.post("/accounts/2fa/totp/activate/", {"code": "000000"})
    assert response.status_code == 200
    assert client.post("/accounts/2fa/totp/activate/", {"code": code_of(secret)}).status_code == 302
    # From now on neither page shows it again.
    assert secret not in page("/accounts/2fa/") + page("/accounts/2fa/totp/deactivate/") + page(DASHBOARD)
    listed = page("/accounts/2fa/recovery-codes/")
    recovery = re.findall(r"\b[0-9a-f]{8}\b", listed)
    assert len(recovery) >= 10
    page("/accounts/2fa/recovery-codes/generate/")
    assert recovery[0] in client.get("/accounts/2fa/recovery-codes/download/").content.decode()

    def second_step(code: str) -> bool:
        nonlocal client
        client = sign_in("ana")
        assert not signed_in(client)
        assert client.get(DASHBOARD)["Location"].startswith(LOGIN)
        page("/accounts/2fa/authenticate/")
        client.post("/accounts/2fa/authenticate/", {"code": code})
        return signed_in(client)

    assert not second_step("000000")
    assert second_step(recovery[0])
    assert not second_step(recovery[0])  # each once


def test_the_second_factor_is_asked_of_the_operator_too(operator: User) -> None:
    client = sign_in("operador")
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    client.get("/accounts/2fa/totp/activate/")
    client.post("/accounts/2fa/totp/activate/", {"code": code_of(client.session["mfa.totp.secret"])})
    again = sign_in("operador")
    assert not signed_in(again)
    response = again.post("/admin/login/", {"username": "operador", "password": PASSWORD}, follow=True)
    assert response.request["PATH_INFO"] != "/admin/"
    assert again.get("/admin/").status_code == 302
