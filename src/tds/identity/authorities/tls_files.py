"""What the files of a TLS server of ours are called, and whether they still fit. Loads no cryptography.

A supervisor asks it at each start; what makes the files (`server_files.py`) runs only when they do not fit.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

KEY: Final = "server.key"
CHAIN: Final = "server.crt"  # the server's certificate, then its issuing authority's
DEVICE_ANCHORS: Final = "device-ca.pem"
SERVER_CA: Final = "server-ca.pem"  # for gateways to pin
REVOKED: Final = "device.crl"
STAMP: Final = "made-for.json"  # what the files were made for: to see without reading them whether they still fit
AUTHORITIES: Final = "authorities.json"  # of the authorities' folder: which there are


def fit(folder: Path, authorities: str, hosts: Sequence[str], now: datetime) -> bool:
    """Whether the files are there, are for these hosts and authorities, and do not end soon. Reads one.

    `authorities` is the text of AUTHORITIES. A file that is not the folder's owner's may be closed to the server, as
    one that root put there by hand.
    """
    try:
        stamp = json.loads((folder / STAMP).read_text(encoding="ascii"))
        owner = folder.stat().st_uid
        found = [(folder / name).stat().st_uid for name in (KEY, CHAIN, DEVICE_ANCHORS, SERVER_CA, REVOKED)]
        whole = all(uid == owner for uid in found)
        return (
            whole
            and stamp["hosts"] == list(hosts)
            and stamp["authorities"] == authorities
            and now < datetime.fromisoformat(stamp["renew_at"])
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False
