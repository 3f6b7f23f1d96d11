"""A signed-in client of the platform's pages: cookies, a token against forgery, and one kept-alive connection."""

import http.client
import json
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

LIMIT_S: Final = 30.0


class Browser:
    def __init__(self, web_url: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(web_url).netloc, timeout=LIMIT_S)
        self._cookies: dict[str, str] = {}

    def sign_in(self, name: str, password: str) -> None:
        self.fetch("GET", "/accounts/login/")
        form = {"login": name, "password": password, "csrfmiddlewaretoken": self._cookies["csrftoken"]}
        status, _ = self.fetch("POST", "/accounts/login/", urlencode(form))
        if status != http.client.FOUND:
            raise RuntimeError(f"The sign-in answered {status}.")

    def json(self, path: str) -> Any:
        status, body = self.fetch("GET", path)
        if status != http.client.OK:
            raise RuntimeError(f"{path} answered {status}: {body[:200]!r}")
        return json.loads(body)

    def fetch(self, method: str, path: str, body: str | None = None) -> tuple[int, bytes]:
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items())}
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            self._connection.request(method, path, body, headers)
            answer = self._connection.getresponse()
        except (http.client.RemoteDisconnected, BrokenPipeError):
            # The server had closed the idle connection, as servers do; `request` opens another.
            self._connection.close()
            self._connection.request(method, path, body, headers)
            answer = self._connection.getresponse()
        for name, value in answer.getheaders():
            if name.lower() == "set-cookie":
                key, _, rest = value.partition("=")
                self._cookies[key] = rest.partition(";")[0]
        return answer.status, answer.read()
