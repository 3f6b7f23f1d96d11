"""`tds trust`: which keys gateways believe. `make` needs the root's key, and so is done where that is kept."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from tds.fleet.commands import Json, fail, say
from tds.fleet.counted import counted

if TYPE_CHECKING:
    from tds.updates.folders import UpdatesFolder
    from tds.updates.signed.keys import PublicKey
    from tds.updates.signed.trust import TrustedKey, TrustSet, Use

trust_app = typer.Typer(no_args_is_help=True, help="Which keys gateways believe: a set that a root key signs.")

MAX_DAYS: Final = 3_650
CLOCKS: Final = timedelta(days=1)  # that another machine's clock may be behind
Files = list[Path] | None


@trust_app.command("make")
def make(  # noqa: PLR0913  # one option each
    out: Annotated[Path, typer.Argument(metavar="FILE", help="Where the new trust set goes.")],
    *,
    root: Annotated[Path, typer.Option(metavar="KEY", help="The root's private key, of ./tds release keygen --root.")],
    release: Annotated[Files, typer.Option(metavar="PUB", help="A public key that signs releases. Repeat it.")] = None,
    assignment: Annotated[
        Files, typer.Option(metavar="PUB", help="A platform's key, of ./tds trust assignment-key. Repeat it.")
    ] = None,
    former: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The set before it: its keys stay, the version grows by one.")
    ] = None,
    revoke: Annotated[list[str] | None, typer.Option(metavar="KID", help="Never believe this key again.")] = None,
    forget: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KID",
            help="No longer list this revoked key, to have room for others: one that signed releases or tickets, which "
            "in no set is believed by nobody. Never a root key's: gateways would believe that again.",
        ),
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=MAX_DAYS, help="How long set and new keys are good.")] = 365,
    as_json: Json = False,
) -> None:
    """Make a trust set. Gateways take it when their platform gives it out; they never go back to an older one."""
    from tds.identity.authorities.keys import KeyUnusableError
    from tds.updates.signed import trust
    from tds.updates.signed.keys import PrivateKey
    from tds.updates.signed.refusal import DocumentRefusedError

    now = datetime.now(UTC)
    try:
        key = PrivateKey.load(root)
        before = _former(former, key.public) if former else None
        named = _keys(release or [], assignment or [], now, days)
        made = _next(before, named, set(revoke or []), now, days, forgotten=frozenset(forget or []))
        text = trust.make(made, key)
        trust.read(text, [key.public], now, former=before)
        out.write_text(f"{text}\n", encoding="ascii")
    except (KeyUnusableError, DocumentRefusedError, ValueError) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{out} can't be written: {error.strerror}.")
    say(
        {"version": made.version, "expires": made.expires_at.isoformat(), "keys": [each.kid for each in made.keys]},
        f"Trust set {made.version} with {counted(len(made.keys), 'key')} is in {out}, good until "
        f"{made.expires_at:%Y-%m-%d}. Next, on the platform: ./tds trust upload {out}",
        as_json=as_json,
    )


@trust_app.command("upload")
def upload(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A trust set, of ./tds trust make.")],
    *,
    root: Annotated[
        Path | None,
        typer.Option(metavar="PUB", help="The root's public key: believe it from now on. Needed the first time."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Take a trust set in, and give it out to gateways from now on."""
    from tds.fleet import audit
    from tds.identity.authorities.keys import KeyUnusableError
    from tds.updates.executions import delivery
    from tds.updates.models import Release
    from tds.updates.releases import trust_sets
    from tds.updates.rollouts.told import psycopg_connection
    from tds.updates.signed.jws import Kind
    from tds.updates.signed.keys import PublicKey
    from tds.updates.signed.refusal import DocumentRefusedError

    folder = _folder()
    try:
        with file.open("rb") as opened:
            text = opened.read(Kind.TRUST.max_bytes + 2).decode("ascii", "replace")
        named, roots = PublicKey.load(root) if root else None, folder.roots()
        new_root = named if named not in roots else None
        if new_root:
            roots = folder.roots_with(new_root)
        if not roots:
            fail("No root key is believed here yet; name its public key with --root.")
        now, former = datetime.now(UTC), trust_sets.current()
        taken = trust_sets.take(text, roots, by=audit.COMMAND_LINE, now=now, new_root=new_root)
        if new_root:  # only with a set that was taken: a root key that was named by mistake would stay
            folder.add_root(new_root)
    except (KeyUnusableError, DocumentRefusedError) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or file} can't be read or written: {error.strerror}.")
    lines = [f"Trust set {taken.version} is given out from now on, until {taken.expires_at:%Y-%m-%d}."]
    if set(taken.revoked) - set(former.revoked if former else ()):
        delivery.check_now_all(psycopg_connection())
        lines.append("It revokes a key: gateways that are connected are told to ask for it now, others within a day.")
    withdrawn = [str(each) for each in Release.objects.filter(withdrawn_at=now).order_by("pk")]
    if withdrawn:
        lines.append(f"Withdrawn, for a revoked key signed them: {', '.join(withdrawn)}.")
    say(
        {"version": taken.version, "expires": taken.expires_at.isoformat(), "withdrawn": withdrawn},
        "\n".join(lines),
        as_json=as_json,
    )


@trust_app.command("show")
def show(*, as_json: Json = False) -> None:
    """What gateways are told to believe now."""
    from tds.updates.releases import trust_sets

    found = trust_sets.current()
    if found is None:
        fail("There is no trust set yet: make one with ./tds trust make, and take it in with ./tds trust upload.")
    keys = [
        {"kid": each.kid, "use": each.use.value, "from": _day(each.nbf), "until": _day(each.exp)} for each in found.keys
    ]
    roots = [root.kid for root in _folder().roots()]
    document = {
        "version": found.version,
        "expires": found.expires_at.isoformat(),
        "keys": keys,
        "revoked": list(found.revoked),
        "roots": roots,
    }
    lines = [
        f"Trust set {found.version}, until {found.expires_at:%Y-%m-%d}.",
        *(f"  {each['use']:<10} {each['kid']}  {each['from']} to {each['until']}" for each in keys),
        *(f"  revoked    {kid}" for kid in found.revoked),
        *(f"  root       {kid}" for kid in roots),
    ]
    say(document, "\n".join(lines), as_json=as_json)


@trust_app.command("assignment-key")
def assignment_key(*, as_json: Json = False) -> None:
    """Where this platform's public key is, for ./tds trust make --assignment. Made when it is missing."""
    from tds.identity.authorities.keys import KeyUnusableError

    folder = _folder()
    try:
        key = folder.assignment_key()
    except (KeyUnusableError, OSError) as error:
        fail(str(error))
    file = folder.assignment_key_file.with_suffix(".pub")
    say({"kid": key.kid, "file": str(file)}, f"{file}\nkid {key.kid}", as_json=as_json)


def _next(  # noqa: PLR0913  # what it is made of
    former: "TrustSet | None",
    new: "list[TrustedKey]",
    revoked: set[str],
    now: datetime,
    days: int,
    *,
    forgotten: frozenset[str] = frozenset(),
) -> "TrustSet":
    """Raises ValueError with a sentence."""
    from tds.updates.signed.claims import MAX_NAMES
    from tds.updates.signed.trust import TrustSet

    if unknown := forgotten - set(former.revoked if former else ()):
        raise ValueError(f"The former set does not revoke {', '.join(sorted(unknown))}, so there is nothing to forget.")
    named = {(key.kid, key.use) for key in new}
    kept = [
        key for key in (former.keys if former else ()) if (key.kid, key.use) not in named and key.exp > now.timestamp()
    ]
    revoked |= set(former.revoked if former else ()) - forgotten
    believed = tuple(key for key in (*kept, *new) if key.kid not in revoked)
    if not believed:
        raise ValueError(
            "The set would have no key that is good: name those that go on, with --release and --assignment; what "
            "--former has keeps the end that it had."
        )
    if len(revoked) > MAX_NAMES:
        raise ValueError(
            f"A trust set revokes at most {MAX_NAMES} keys, and this one would revoke {len(revoked)}: --forget one "
            "that signed releases or tickets, never a root key."
        )
    if len(believed) > MAX_NAMES:
        raise ValueError(
            f"A trust set has at most {MAX_NAMES} keys, and this one would have {len(believed)}: --revoke those that "
            "sign nothing any more."
        )
    until = now + timedelta(days=days)
    return TrustSet(
        version=former.version + 1 if former else 1,
        iat=int(now.timestamp()),
        exp=int(until.timestamp()),
        keys=believed,
        revoked=tuple(sorted(revoked)),
    )


def _keys(release: list[Path], assignment: list[Path], now: datetime, days: int) -> "list[TrustedKey]":
    from tds.updates.signed.keys import PublicKey
    from tds.updates.signed.trust import TrustedKey, Use

    def trusted(file: Path, use: "Use") -> TrustedKey:
        return TrustedKey.of(PublicKey.load(file), use, now - CLOCKS, now + timedelta(days=days))

    return [
        *(trusted(file, Use.RELEASE) for file in release),
        *(trusted(file, Use.ASSIGNMENT) for file in assignment),
    ]


def _former(file: Path, root: "PublicKey") -> "TrustSet":
    """Of the same root, or of the other one, whose word is not asked for here: the new set is what counts."""
    import msgspec

    from tds.updates.signed.jws import Kind, split
    from tds.updates.signed.trust import TrustSet

    found = split(Kind.TRUST, file.read_text(encoding="ascii").strip())
    payload = found.check(root) if found.kid == root.kid else found.payload
    try:
        return msgspec.json.decode(payload, type=TrustSet)
    except msgspec.DecodeError as error:
        raise ValueError(f"{file} holds no trust set: {error}.") from error


def _folder() -> "UpdatesFolder":
    from django.conf import settings

    from tds.updates.folders import UpdatesFolder

    return UpdatesFolder(settings.ENV.home / "updates")


def _day(moment_s: int) -> str:
    return f"{datetime.fromtimestamp(moment_s, UTC):%Y-%m-%d}"
