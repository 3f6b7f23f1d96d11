"""`tds ca`: the certificate authorities that gateways and servers are trusted by. Needs no database."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tds.fleet.commands import fail, say
from tds.owners import denied

if TYPE_CHECKING:
    from tds.identity.authorities.authority import Authority
    from tds.identity.authorities.folder import AuthorityFolder

ca_app = typer.Typer(
    no_args_is_help=True,
    help="Certificate authorities: a root, one that issues to gateways, one that issues to servers.",
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of sentences.")]
MAX_OVERLAP_DAYS: Final = 3_650
MAX_NOTED_CHARS: Final = 500  # of a text in the audit trail


@ca_app.command("init")
def init(context: typer.Context, *, as_json: Json = False) -> None:
    """Make the authorities, once for all. `tds up` does it by itself on a desk; production is asked to do it."""
    from tds.identity.authorities.folder import ROOT_KEY

    folder = _folder()
    with _sentences():
        folder.init(_now())
        document = _described(folder)
    _write_down(context, "ca.made", "root")
    say(
        document,
        f"Certificate authorities are in {folder.path}. Keep the root's key elsewhere: "
        f"./tds ca export-root FILE writes it out, ./tds ca remove-root-key takes {folder.path / ROOT_KEY} away. It is "
        "needed again for a rotation only. Back up the folder: with the other keys lost, every gateway must be "
        "provisioned anew.",
        as_json=as_json,
    )


@ca_app.command("show")
def show(*, as_json: Json = False) -> None:
    """List the authorities: which issue, which are trusted, and until when."""
    folder = _folder()
    with _sentences():
        document = _described(folder)
    if as_json:
        typer.echo(json.dumps(document))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("authority", "issues", "trusted until", "SHA-256")
    for each in document["authorities"]:
        issues = "yes" if each["issues"] else "no"
        table.add_row(each["name"], issues, each["trusted_until"][:10], each["sha256"][:23] + "…")
    Console().print(table)
    here = "is here; export and remove it" if document["root_key_here"] else "is not here"
    typer.echo(f"Folder {document['folder']}; the root's key {here}.")


@ca_app.command("rotate")
def rotate(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(metavar="device|service", help="Which authority gets a successor.")],
    *,
    overlap_days: Annotated[
        int,
        typer.Option(
            min=0,
            max=MAX_OVERLAP_DAYS,
            help="Trust the old one for so many days more, best as many as its certificates last.",
        ),
    ] = 730,
    as_json: Json = False,
) -> None:
    """Make the next authority of a kind. Both are trusted within the overlap, in which gateways renew by themselves."""
    from tds.identity.authorities.authority import Kind

    if kind not in tuple(Kind):
        fail(f"There is no authority {kind!r}; say device or service.")
    folder = _folder()
    with _sentences():
        before = getattr(folder, kind)().name
        name = folder.rotate(Kind(kind), _now(), overlap_days=overlap_days)
        document = _described(folder)
    _write_down(context, "ca.rotated", name, before=before, overlap_days=overlap_days)
    until = {each["name"]: each["trusted_until"][:10] for each in document["authorities"]}.get(before, "this moment")
    what = (
        "Gateways that renew from now on get theirs from it; brokers trust it within a minute."
        if kind == Kind.DEVICE
        else "Servers get theirs from it at their next start; gateways accept it by the root they know."
    )
    sentence = f"Authority {name} issues from now on; {before} is trusted until {until}. {what}"
    say(document, sentence, as_json=as_json)


@ca_app.command("issue-server")
def issue_server(
    context: typer.Context,
    hosts: Annotated[list[str], typer.Argument(metavar="HOST…", help="Names and addresses that it is reached by.")],
    *,
    out: Annotated[Path, typer.Option(file_okay=False, metavar="DIR", help="A folder for key and certificates.")],
) -> None:
    """Make key and certificate of a server of yours, as the proxy in front of the web. Ours make their own."""
    from tds.environment import HOST_NAME, is_address
    from tds.identity.authorities import keys, server_files, tls_files

    if wrong := next((host for host in hosts if not (is_address(host) or HOST_NAME.match(host))), None):
        fail(f"{wrong!r} is no host name and no IP address.")
    folder = _folder()
    try:
        there = (out / tls_files.KEY).exists()
    except OSError as error:
        fail(_not_written(out, error))
    if there:
        fail(f"{out / tls_files.KEY} is there already; name another folder, or move it away.")
    with _sentences():
        key, now = keys.new_key(), _now()
        chain = server_files.chain_pem(folder, key.public_key(), hosts, now)
        by = folder.service().name
        trusted = folder.server_ca_pem(now)
    try:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
        keys.write_private(out / tls_files.KEY, keys.pem(key))
        keys.write_public(out / tls_files.CHAIN, chain)
        keys.write_public(out / tls_files.SERVER_CA, trusted)
    except OSError as error:
        fail(_not_written(out, error))
    _write_down(context, "ca.server_issued", by, hosts=", ".join(hosts)[:MAX_NOTED_CHARS])
    typer.echo(
        f"{out} has {tls_files.KEY}, {tls_files.CHAIN} (good for 397 days; then make it again) and "
        f"{tls_files.SERVER_CA}, which browsers must be told to trust."
    )


@ca_app.command("export-root")
def export_root(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(dir_okay=False, help="A new file, best on a medium that is then locked away.")
    ],
) -> None:
    """Write the root's certificate and key to a file, readable by its owner alone."""
    folder = _folder()
    with _sentences():
        contents = folder.export_root()
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as target:
            target.write(contents)
            target.flush()
            os.fsync(descriptor)
    except OSError as error:
        fail(_not_written(file, error))
    _write_down(context, "ca.root_exported", "root", file=str(file)[:MAX_NOTED_CHARS])
    typer.echo(f"The root is in {file}. When that is safe: ./tds ca remove-root-key")


@ca_app.command("remove-root-key")
def remove_root_key(
    context: typer.Context, *, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False
) -> None:
    """Take the root's key away from this machine. Without a copy elsewhere no authority can ever be rotated."""
    folder = _folder()
    with _sentences():
        if folder.root().key is None:
            fail("The root's key is not here; it was removed before.")
        if not yes and not typer.confirm("Is a copy of the root's key kept elsewhere, and was it read back?"):
            raise typer.Exit(1)
        folder.remove_root_key()
    _write_down(context, "ca.root_removed", "root")
    typer.echo("The root's key is gone from here. For a rotation, put the exported file back as root.key.")


def _write_down(context: typer.Context, action: str, name: str, **detail: str | int) -> None:
    """In the audit trail, by whom cli.py puts there: the authorities are made before there is a database to keep it."""
    if context.obj and (trouble := context.obj(action, name, detail)):
        typer.echo(f"Warning: it was done, and is not in the audit trail ({trouble}).", err=True)


def _folder() -> "AuthorityFolder":
    from tds.environment import read
    from tds.identity.authorities.folder import AuthorityFolder

    return AuthorityFolder(read(os.environ).ca_folder)


def _described(folder: "AuthorityFolder") -> dict[str, Any]:
    from tds.identity.authorities.authority import fingerprint_text

    now = _now()
    root = folder.root()

    def row(authority: "Authority", current: str) -> dict[str, Any]:
        end = min(filter(None, (folder.trusted_until(authority.name), authority.certificate.not_valid_after_utc)))
        return {
            "name": authority.name,
            "issues": authority.name == current,
            "trusted_until": end.isoformat(),
            "sha256": fingerprint_text(authority.certificate),
        }

    authorities = [
        {
            "name": "root",
            "issues": False,
            "trusted_until": root.certificate.not_valid_after_utc.isoformat(),
            "sha256": fingerprint_text(root.certificate),
        },
        *(row(each, folder.device().name) for each in folder.devices(now)),
        *(row(each, folder.service().name) for each in folder.services(now)),
    ]
    return {"folder": str(folder.path), "root_key_here": root.key is not None, "authorities": authorities}


def _not_written(path: Path, error: OSError) -> str:
    return f"{path} can't be written: {denied(path) if isinstance(error, PermissionError) else error.strerror}."


@contextmanager
def _sentences() -> Iterator[None]:
    from tds.identity.authorities.folder import FolderUnusableError

    try:
        yield
    except FolderUnusableError as error:
        fail(str(error))


def _now() -> datetime:
    return datetime.now(UTC)
