"""One gateway's renewals: asks the rule when, has a thread speak to the server, tells what came of it."""

from concurrent.futures import Executor, Future
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from tds.simulator import est
from tds.simulator.backoff import Backoff
from tds.simulator.credential import Credential, CredentialError, keep, load
from tds.simulator.noise import noise_key, unit
from tds.simulator.renewal import MIN_BETWEEN_MS, has_run_out, renew_at_ms, try_again_at_ms

FAILED_FIRST_S: Final = 30.0
FAILED_MAX_S: Final = 3_600.0
MAX_AT_ONCE: Final = 4  # threads of a fleet; the other gateways wait their turn


@dataclass(frozen=True, slots=True)
class Renewed:
    credential: Credential


@dataclass(frozen=True, slots=True)
class NotRenewed:
    why: str


class Renewer:
    """`at_once`: the first renewal is due whatever the certificate's age."""

    def __init__(self, code: str, server: est.Server, pool: Executor, seed: int, *, at_once: bool = False) -> None:
        self.wanted = at_once
        self._server = server
        self._pool = pool
        self._place = unit(noise_key("renewal", seed, code), 0)
        self._pause = Backoff(FAILED_FIRST_S, FAILED_MAX_S, noise_key("renewal-failed", seed, code))
        self._not_before_ms = 0  # of the next try
        self._asking: Future[Credential] | None = None
        self._said_over: Credential | None = None  # that it ran out; once is enough

    def step(self, present: Credential, now_ms: int) -> Renewed | NotRenewed | None:
        """Never waits. A certificate that ran out is not renewed with, and said once."""
        if self._asking is None:
            if has_run_out(present.not_after_ms, now_ms=now_ms):
                return self._is_over(present)
            if self._is_due(present, now_ms):
                self._asking = self._pool.submit(_renew, self._server, present)
            return None
        if not self._asking.done():
            return None
        asked, self._asking = self._asking, None
        try:
            credential = asked.result()
        except (est.EnrolmentError, CredentialError, OSError) as error:
            pause_s = self._pause.after_failure()
            if isinstance(error, est.EnrolmentError) and error.retry_after_s is not None:
                pause_s = error.retry_after_s
            self._not_before_ms = try_again_at_ms(present.not_after_ms, pause_s, now_ms=now_ms)
            return NotRenewed(f"its certificate was not renewed: {error}; trying again")
        self.wanted = False
        self._pause.succeeded()
        self._not_before_ms = now_ms + MIN_BETWEEN_MS
        return Renewed(credential)

    def _is_over(self, present: Credential) -> NotRenewed | None:
        if present == self._said_over:
            return None
        self._said_over = present
        return NotRenewed(
            f"its certificate ran out at {until(present)}, and can't be renewed any more; "
            "provision it anew, or have it enrol with a claim code"
        )

    def _is_due(self, present: Credential, now_ms: int) -> bool:
        if now_ms < self._not_before_ms:
            return False
        return self.wanted or now_ms >= renew_at_ms(present.not_before_ms, present.not_after_ms, self._place)


def until(credential: Credential) -> str:
    return f"{datetime.fromtimestamp(credential.not_after_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"


def _renew(server: est.Server, present: Credential) -> Credential:
    issued = est.renew(server, present)
    keep(present.folder, issued.key_pem, issued.chain_pem)
    return load(present.folder.parent, present.code)
