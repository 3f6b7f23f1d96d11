"""Sessions in Redis, which say so when Redis is away."""

from typing import Any

from django.contrib.sessions.backends import cache


class SessionStore(cache.SessionStore):
    """Django's own takes a Redis that is away for a session that is over, and the browser's cookie is deleted."""

    def load(self) -> dict[str, Any]:
        """The session's contents, empty for one that is over. Raises redis.RedisError."""
        found: dict[str, Any] | None = self._cache.get(self.cache_key)  # type: ignore[attr-defined]  # not in the stubs
        if found is None:
            self._session_key = None
            return {}
        return found
