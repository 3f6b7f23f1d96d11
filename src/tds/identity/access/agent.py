"""Keeps one broker's access true: whoever is refused is cut off, and does not come back.

mosquitto reads its revocation list at SIGHUP and then lets nobody in whom it names, but it leaves their sessions alone.
So: the files first, then SIGHUP (reloading.py), and when the broker is through with that, the sessions; then it is
asked whether it refuses. What was done is written down last, so whoever is killed in between does all of it again; none
of it hurts when it is done twice. mosquitto ends no session whose certificate ended either: that is seen at each look.

It needs the database, the broker's folder and process, and a name on the listener for services; no authority's key.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from time import monotonic
from typing import Any, Final

import psycopg

from tds.fleet.counted import counted
from tds.identity.access import broker_files, broker_process, canary, held_back, reached, refused, reloading
from tds.identity.access.broker_files import Access, Passwords
from tds.identity.access.broker_process import BrokerProcess
from tds.identity.access.canary import NotEnforcedError
from tds.identity.access.held_back import HeldBack
from tds.identity.access.reached import Reached
from tds.identity.access.services_listener import BrokerSilentError, ServicesListener
from tds.identity.access.slow_round import MAX_AT_ONCE, SlowRound
from tds.identity.authorities.tls_files import DEVICE_ANCHORS, REVOKED
from tds.identity.revocation.notices import ACCESS, FLEET, Notices

logger = logging.getLogger("tds.agent")

WAIT_S: Final = 0.5  # for news, at once: then it is seen whether to stop, and whether the broker was started again
LOOK_EVERY_S: Final = 10.0  # without news: files that somebody changed, passwords whose last day is over
ASK_EVERY_S: Final = 300.0  # the broker, whether it refuses; each time is a line in its log
RETRY_FIRST_S: Final = 0.25
RETRY_MAX_S: Final = 5.0
# Each SIGHUP gives the broker a new TLS context, and it keeps the old one for as long as a session of it lives.
RETRY_RELOAD_MAX_S: Final = 60.0
SAY_AFTER_S: Final = 2.0  # a broker that starts is no trouble
SAY_EVERY_S: Final = 60.0


class BrokerTroubleError(Exception):
    """The broker can't be brought up to date now; the text is a sentence."""


@dataclass(frozen=True, slots=True)
class Broker:
    """One broker of this machine. `folder` has the files of broker_files.py; gateways come in at `host` and `port`."""

    name: str
    folder: Path
    pid_file: Path
    services: ServicesListener
    host: str
    port: int


@dataclass(slots=True)
class Keeper:
    """One lane of the agent, with a connection to itself. `trouble` is a sentence while something is in the way."""

    broker: Broker
    passwords: Callable[[datetime], Passwords]
    now: Callable[[], datetime]
    clock: Callable[[], float] = monotonic
    trouble: str = ""
    _connection: psycopg.Connection[Any] | None = None
    _notices: Notices | None = None
    _process: BrokerProcess | None = None
    _due_at: float = float("-inf")
    _retry_s: float = RETRY_FIRST_S
    _asked_at: float = float("-inf")
    _since: float = 0.0  # there is trouble
    _said: tuple[str, float] = ("", float("-inf"))
    _silent: bool = False  # it did not answer on its port for services
    # Which process read which files, at which mark, and then ended sessions; while it is asked whether it refuses.
    _tried: tuple[BrokerProcess | None, str, tuple[int, int]] | None = None
    _to_reload: bool = False  # it has read them, and does not go by them
    _ended_by: datetime = reached.NEVER  # whose certificate ended by then was cut off
    _held_back: HeldBack = field(default_factory=HeldBack)
    _round: SlowRound = field(default_factory=SlowRound)

    def turn(self, connection: psycopg.Connection[Any]) -> None:
        """Wait up to WAIT_S for news, and do what is to be done."""
        if self._notices is None or connection is not self._connection:
            # Whose password is taken hangs on the gateway as well.
            more = [] if self.passwords(self.now()) is Passwords.NONE else [FLEET]
            self._connection, self._notices = connection, Notices(connection, ACCESS, *more)
            self._due_at = float("-inf")
        told = self._notices.wait(max(0.0, min(WAIT_S, self._due_at - self.clock())))
        # A broker that was started again has read its files; but were they these, and all of them?
        process = broker_process.find(self.broker.pid_file)
        if told or self.clock() >= self._due_at or process != self._process:
            self._process = process
            self._guarded(self._bring_up_to_date, connection)
        # Also while something else is in the way, as when its port for gateways is full.
        if self._process is not None and not self._silent:
            self._guarded(self._cut_again, connection)

    def _guarded(self, do: Callable[[psycopg.Connection[Any]], None], connection: psycopg.Connection[Any]) -> None:
        try:
            do(connection)
        except BrokerSilentError as error:
            self._silent = True
            self._say(connection, str(error), RETRY_MAX_S)
        except BrokerTroubleError as error:
            self._say(connection, str(error), RETRY_MAX_S)
        except NotEnforcedError as error:
            # Whoever was out may be in again: no code is free because of what was before.
            reached.settle(connection, self.broker.name, 0)
            self._say(connection, str(error), RETRY_RELOAD_MAX_S)
        except OSError as error:
            why = f"{error.strerror or error}: {error.filename or self.broker.folder}"
            self._say(connection, f"The broker's files can't be used ({why}).", RETRY_MAX_S)

    def _bring_up_to_date(self, connection: psycopg.Connection[Any]) -> None:
        self._due_at, self._silent = self.clock() + LOOK_EVERY_S, False
        # Before the rows are read: whatever was committed by this moment is in them.
        as_of = reached.clock_of(connection)
        far = reached.read(connection, self.broker.name)
        if self._held_back.unknown:
            # First of all: whom it waited for whose place this one takes is waited for, whatever else is in the way.
            codes = refused.listed(connection, after=far.settled, up_to=far.revision)
            self._held_back.add(codes, self.clock(), revision=far.settled + 1)
            self._held_back.unknown = False
        access = broker_files.read_access(connection, self.passwords(self.now()))
        if access is None:
            raise BrokerTroubleError("No revocation list was signed yet; that is the worker's: see ./tds status.")
        self._cut_ended(connection, access, since=max(far.as_of, self._ended_by), up_to=as_of)
        reloading.mend(self.broker.folder)
        differing = broker_files.differing(self.broker.folder, access)
        done = not differing and broker_files.marked(self.broker.folder) == access.mark
        done = done and far.revision == access.revision
        if not done:
            far = self._put_in_force(connection, access, far, differing)
        elif self.clock() - self._asked_at >= ASK_EVERY_S:
            self._ask(access)
        reached.write(connection, self.broker.name, Reached(far.revision, far.settled, as_of))
        reached.settle(connection, self.broker.name, self._held_back.unsettled)
        if not done:
            broker_files.mark(self.broker.folder, access)
        self._recover()

    def _put_in_force(
        self, connection: psycopg.Connection[Any], access: Access, far: Reached, differing: list[str]
    ) -> Reached:
        began, folder = self.clock(), self.broker.folder
        marked, digest = broker_files.marked(folder)
        # A try of before that waits for the broker's answer, unless somebody else made other files for it since.
        goes_on = self._tried == (self._process, access.digest, broker_files.stamp(folder)) and not differing
        if digest and marked == access.revision and REVOKED in differing:
            # The list on disk was not the one that was put there: whoever it did not name may have come in.
            broker_files.mark_unknown(folder)
        broker_files.mark_begun(folder, broker_files.leaving(folder, access))
        broker_files.put(folder, access, differing)
        # Folder and row do not know of one another: one of them was put back, and nobody knows who has come in.
        since = far.revision if broker_files.marked(folder)[0] == far.revision else 0
        codes = refused.listed(connection, after=since, up_to=access.revision) + broker_files.marked_leaving(folder)
        if DEVICE_ANCHORS in differing or not digest:
            codes += refused.of_former_authorities(connection)
        codes = list(dict.fromkeys(codes))
        if not goes_on or self._to_reload:
            self._reload()
            self._to_reload = False
        # Before it is asked: whoever keeps it from answering there must not keep a session by that. Later tries, which
        # may be of everybody who was ever refused, wait for its answer.
        if not goes_on:
            self._cut_off(codes, since + 1)
        self._tried = (self._process, access.digest, broker_files.stamp(folder))
        self._ask(access)
        if goes_on:
            self._cut_off(codes, since + 1)
        else:
            self._cut_held(connection, codes[: held_back.MAX_AT_ONCE])  # who may have come in between
        self._tried = None
        took = f"{counted(len(codes), 'code')} cut off, after {self.clock() - began:.2f} s"
        logger.info("%s: revision %d is in force, %s", self.broker.name, access.revision, took)
        return Reached(access.revision, min(far.settled, since), far.as_of)

    def _cut_off(self, codes: list[str], revision: int) -> None:
        self._held_back.add(codes, self.clock(), revision=revision)
        self.broker.services.take_over(codes)

    def _cut_ended(
        self, connection: psycopg.Connection[Any], access: Access, *, since: datetime, up_to: datetime
    ) -> None:
        codes = refused.ended(connection, since=since, up_to=up_to)
        self._cut_off(codes, access.revision + 1)  # no list is to name them
        self._ended_by = up_to
        if codes:
            what = counted(len(codes), "code")
            logger.info("%s: %s cut off whose last certificate ended", self.broker.name, what)

    def _reload(self) -> None:
        """SIGHUP, and until the broker is through with it.

        It must have answered before: while it starts, it does not listen to that signal yet, and would be ended by it.
        """
        process = self._process
        if process is None:
            raise BrokerTroubleError("The broker does not run.")
        with (
            self.broker.services.watch(f"tds-agent-{self.broker.name}") as watch,
            reloading.ending_early(self.broker.folder),
        ):
            try:
                there = broker_process.find(self.broker.pid_file) == process and broker_process.reload(process)
            except PermissionError:
                raise BrokerTroubleError(
                    f"The agent may not signal the broker (process {process.pid}); run it as the broker's account."
                ) from None
            if not there:
                raise BrokerTroubleError("The broker ended, or was started again, at this moment.")
            watch.signalled()

    def _ask(self, access: Access) -> None:
        """Whether it refuses whom the lists of these files name."""
        host, port = self.broker.host, self.broker.port
        try:
            clients = [canary.client(each) for each in access.canaries]
        except OSError as error:
            raise BrokerTroubleError(
                f"The agent can't make ready the certificate by which it asks the broker whether it refuses ({error}); "
                "see that it has memory and open files left."
            ) from error
        try:
            for client in clients:
                canary.ask(client, host, port)
        except NotEnforcedError:
            # Then it is told again; and whoever came in meanwhile, of all that are refused, is cut off.
            broker_files.mark_unknown(self.broker.folder)
            self._to_reload = True
            if self._tried:
                self._tried = (*self._tried[:2], broker_files.stamp(self.broker.folder))
            raise
        except OSError as error:
            raise BrokerTroubleError(
                f"The broker does not answer on its port for gateways, {host}:{port} ({error})."
            ) from error
        self._asked_at = self.clock()

    def _cut_again(self, connection: psycopg.Connection[Any]) -> None:
        if codes := self._held_back.turn(self.clock()):
            self._cut_held(connection, codes)
            # While something is in the way nobody knows whom the broker lets in.
            if not (self._held_back.unknown or self.trouble):
                reached.settle(connection, self.broker.name, self._held_back.unsettled)
        if self._round.is_due(self.clock()):
            self._round.begin(self.clock())
            self._go_round(connection, passwords=self._takes_passwords())

    def _cut_held(self, connection: psycopg.Connection[Any], codes: list[str]) -> None:
        found = {held.code: held for held in refused.held(connection, codes, passwords=self._takes_passwords())}
        now = self.clock()
        self.broker.services.take_over(self._held_back.judge(codes, found, now))
        self._held_back.cut(codes, now)

    def _go_round(self, connection: psycopg.Connection[Any], *, passwords: bool) -> None:
        now = reached.clock_of(connection)
        since = self._round.go_on(broker_files.kept_round(self.broker.folder), now)
        if not self._round.rests(self.clock()):
            codes = refused.without_right(connection, after=self._round.after, limit=MAX_AT_ONCE, passwords=passwords)
            self.broker.services.take_over(codes)
            self._round.stepped(codes, self.clock())
        self._round.note(refused.beside_good(connection, since=since, up_to=now, passwords=passwords), now)
        again = list(self._round.again)[:MAX_AT_ONCE]
        still = [each.code for each in refused.held(connection, again, passwords=passwords) if each.refused]
        self.broker.services.take_over(still)
        if kept := self._round.cut_again(again, self.clock()):
            broker_files.keep_round(self.broker.folder, kept)

    def _takes_passwords(self) -> bool:
        return self.passwords(self.now()) is Passwords.TAKEN

    def _recover(self) -> None:
        if self._said[0]:
            logger.info("%s: up to date again", self.broker.name)
        self.trouble, self._retry_s, self._said = "", RETRY_FIRST_S, ("", float("-inf"))

    def _say(self, connection: psycopg.Connection[Any], trouble: str, retry_max_s: float) -> None:
        if not self.trouble:
            self._since = self.clock()
        self.trouble = trouble
        said, at = self._said
        if self.clock() - self._since >= SAY_AFTER_S and (trouble != said or self.clock() - at >= SAY_EVERY_S):
            self._said = trouble, self.clock()
            logger.warning("%s: %s", self.broker.name, trouble)
        self._due_at = self.clock() + self._retry_s
        self._retry_s = min(2 * self._retry_s, retry_max_s)
        reached.write_trouble(connection, self.broker.name, trouble)
