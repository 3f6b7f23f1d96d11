"""Makes the certificates of the private brokers, and on a desk the authority that they need.

A program of its own at a start, and a chore of the worker while all runs: a platform may be on for years.
"""

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tds.environment import Environment
from tds.identity.access import broker_files
from tds.identity.authorities import server_files
from tds.identity.authorities.folder import AuthorityFolder, FolderUnusableError
from tds.local import broker_tls
from tds.local.accounts import give, service_account
from tds.processes import broker_name


def make(folder: Path, authorities: AuthorityFolder, hosts: Sequence[str], now: datetime) -> None:
    """Key, certificates and lists in a broker's folder. Raises FolderUnusableError, OSError.

    The folder is given to the broker's account, and what is written into it is its owner's from the first byte on:
    there is no moment at which the stamp says that all is well and the key is root's.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    give(folder, service_account("mosquitto"))
    server_files.write(folder, authorities, hosts, now)


def renew(environment: Environment, now: datetime) -> list[str]:
    """Make anew what ends soon, of the private brokers on this machine; the names of those that got something.

    The agent has a broker read its files again when the mark beside them is gone. Raises FolderUnusableError, OSError.
    """
    if environment.mqtt_urls_given or not broker_tls.has_authority(environment):
        return []
    names = [broker_name(number) for number in range(1, len(environment.mqtt_urls) + 1)]
    folders = {environment.home / name / broker_tls.TLS: name for name in names}
    hosts, there = broker_tls.hosts(environment), [folder for folder in folders if folder.exists()]
    found = broker_tls.to_make(there, environment.ca_folder, hosts, now=now)
    for folder in found:
        make(folder, AuthorityFolder(environment.ca_folder), hosts, now)
        broker_files.mark_begun(folder)
    return [folders[folder] for folder in found]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--authorities", type=Path, required=True)
    parser.add_argument("--host", action="append", required=True)
    parser.add_argument("--folder", type=Path, action="append", default=[])
    options = parser.parse_args()
    now = datetime.now(UTC)
    authorities = AuthorityFolder(options.authorities)
    try:
        if not authorities.exists():
            authorities.init(now)
        for folder in options.folder:
            make(folder, authorities, options.host, now)
    except FolderUnusableError as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(f"Certificates can't be written: {error}.")


if __name__ == "__main__":
    main()
