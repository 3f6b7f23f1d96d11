"""A private PostgreSQL: its own data folder, its own port, a password from the first moment, no socket in /tmp."""

import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql

from tds.local.accounts import Account, give
from tds.local.processes import Identity, identity_of
from tds.local.refusal import CannotStartError

SUPERUSER: Final = "postgres"
OLDEST_MAJOR: Final = 15
DEBIAN_PROGRAMS: Final = Path("/usr/lib/postgresql")
MIB: Final = 1024**2


def shared_buffers_mib(memory_bytes: int) -> int:
    """A thirty-second of the machine, within 128 and 256 MiB: other people's programs run here too."""
    return min(256, max(128, memory_bytes // 32 // MIB))


def find_programs(data: Path, debian: Path = DEBIAN_PROGRAMS) -> Path:
    """The folder with `initdb` and `postgres`: the version that wrote `data`, else the newest."""
    found: dict[int, Path] = {}
    on_path = shutil.which("postgres")
    candidates = [*debian.glob("*/bin"), *([Path(on_path).resolve().parent] if on_path else [])]
    for folder in candidates:
        if (folder / "initdb").exists() and (major := _major(folder)):
            found.setdefault(major, folder)
    version_file = data / "PG_VERSION"
    if version_file.exists():
        wrote = int(version_file.read_text(encoding="ascii").strip())
        if wrote not in found:
            raise CannotStartError(
                f"The database in {data} was made by PostgreSQL {wrote}, which is not installed; "
                f"install postgresql-{wrote}, or set TDS_HOME to an empty folder to start afresh."
            )
        return found[wrote]
    usable = [major for major in found if major >= OLDEST_MAJOR]
    if not usable:
        raise CannotStartError(f"PostgreSQL {OLDEST_MAJOR} or newer is not installed; run `make setup`.")
    return found[max(usable)]


def has_timescaledb(programs: Path) -> bool:
    """Whether the library is where this PostgreSQL looks for it (Debian's layout, or what `pg_config` says)."""
    candidates = [programs.parent / "lib"]
    if (config := programs / "pg_config").exists():
        said = subprocess.run([config, "--pkglibdir"], capture_output=True, text=True, check=False).stdout
        candidates.append(Path(said.strip() or "/nonexistent"))
    return any((folder / "timescaledb.so").exists() for folder in candidates)


def _major(folder: Path) -> int | None:
    if folder.parent.name.isdecimal():
        return int(folder.parent.name)
    said = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"\s(\d+)[.\w]*\s*", said)
    return int(match[1]) if match else None


@dataclass(frozen=True, slots=True)
class Cluster:
    """One folder and how to run the database in it."""

    folder: Path
    port: int
    superuser_password: str
    account: Account | None = None
    durable: bool = True

    @property
    def data(self) -> Path:
        return self.folder / "cluster"

    def create(self) -> None:
        """`initdb`, beside its final place: an interrupted first start leaves nothing that looks finished."""
        if self.data.exists():
            return
        draft = self.folder / "cluster.new"
        if draft.exists():
            shutil.rmtree(draft)
        draft.mkdir(mode=0o700)
        give(draft, self.account)
        descriptor, password_file = tempfile.mkstemp()
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(self.superuser_password)
            give(Path(password_file), self.account)
            done = self._run(self._initdb(draft, password_file))
        finally:
            Path(password_file).unlink()
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
            raise CannotStartError(f"The database could not be made in {draft}: {said[-1].strip()}")
        draft.rename(self.data)

    def _initdb(self, draft: Path, password_file: str) -> list[str]:
        return [
            str(find_programs(self.data) / "initdb"),
            f"--pgdata={draft}",
            f"--username={SUPERUSER}",
            f"--pwfile={password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--data-checksums",
            *([] if self.durable else ["--no-sync"]),
        ]

    def _run(self, command: list[str]) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",  # the account may not be able to enter where we are
            start_new_session=True,  # a Ctrl-C is ours to handle
            user=self.account.uid if self.account else None,
            group=self.account.gid if self.account else None,
            extra_groups=[] if self.account else None,
        )

    def command(self) -> list[str]:
        """The postmaster. Settings are words of its command line, so a changed port needs no edited file."""
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "100",
            "shared_buffers": f"{shared_buffers_mib(memory)}MB",
            "max_wal_size": "2GB",
            "synchronous_commit": "on",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_line_prefix": "%m [%p] ",
            "log_destination": "stderr",
            "logging_collector": "off",
            "log_checkpoints": "off",
            "cluster_name": "tds",
        }
        if has_timescaledb(find_programs(self.data)):
            # Two workers: compressing and refreshing is our own worker's, so there are few jobs.
            settings |= {
                "shared_preload_libraries": "timescaledb",
                "timescaledb.telemetry_level": "off",
                "timescaledb.max_background_workers": "2",
            }
        if not self.durable:
            settings |= {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
        program = find_programs(self.data) / "postgres"
        return [str(program), "-D", str(self.data), *(w for k, v in settings.items() for w in ("-c", f"{k}={v}"))]

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """As the superuser. Only set-up does this; the platform itself signs in with the application's role."""
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user=SUPERUSER,
            password=self.superuser_password,
            dbname=database,
            autocommit=True,
            connect_timeout=2,
        )

    def answers(self) -> bool:
        try:
            with self.connect() as connection:
                connection.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def provide(self, role: str, password: str, database: str, *, may_create_databases: bool = False) -> None:
        """The application's role and database, made or brought in line. The role is no superuser."""
        with self.connect() as connection:
            # The verifier, not the password: an error would write the statement to the log.
            verifier = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
            known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone()
            connection.execute(
                sql.SQL("{} ROLE {} LOGIN NOSUPERUSER NOCREATEROLE {} PASSWORD {}").format(
                    sql.SQL("ALTER" if known else "CREATE"),
                    sql.Identifier(role),
                    sql.SQL("CREATEDB" if may_create_databases else "NOCREATEDB"),
                    sql.Literal(verifier),
                )
            )
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone():
                connection.execute(
                    sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(database), sql.Identifier(role))
                )
                connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(database)))

    def leftover(self) -> Identity | None:
        """The postmaster that still runs on this folder. The file alone proves nothing: its pid may be anyone's now."""
        file = self.data / "postmaster.pid"
        try:
            pid = int(file.read_text(encoding="utf-8").splitlines()[0])
        except (OSError, ValueError, IndexError):
            return None
        try:
            # A postmaster's working folder is its data folder.
            ours = Path(f"/proc/{pid}/cwd").resolve(strict=True) == self.data.resolve()
        except OSError:
            ours = False
        if ours:
            return identity_of(pid)
        file.unlink()  # else PostgreSQL would refuse to start while that innocent process lives
        return None
