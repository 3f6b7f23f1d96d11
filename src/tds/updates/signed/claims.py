"""What all signed documents share in their claims: how they are read, and their bounds. Pure."""

from typing import Annotated, Final, TypeVar

import msgspec
from django.utils.translation import gettext as _
from msgspec import Meta

from tds.updates.signed.jws import Kind
from tds.updates.signed.refusal import DocumentRefusedError, Refusal

MAX_COUNTER: Final = 2**31 - 1
MAX_SEQ: Final = 2**53 - 1
MAX_MOMENT_S: Final = 253_402_300_799  # 9999-12-31T23:59:59Z
MAX_IMAGE_BYTES: Final = 64 * 1024**2
MAX_NAMES: Final = 8  # families, revisions, keys, revoked keys
SEMVER: Final = (  # SemVer 2.0.0, "Is there a suggested regular expression"
    r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(-((0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(\.(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?"
    r"(\+([0-9a-zA-Z-]+(\.[0-9a-zA-Z-]+)*))?$"
)

Moment = Annotated[int, Meta(ge=0, le=MAX_MOMENT_S)]  # NumericDate: RFC 7519, 2
Counter = Annotated[int, Meta(ge=1, le=MAX_COUNTER)]
Hash = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
Name = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,30}\Z")]
Revision = Annotated[str, Meta(pattern=r"\A(\*|[A-Za-z0-9][A-Za-z0-9._-]{0,30})\Z")]
Version = Annotated[str, Meta(pattern=SEMVER.replace("^", r"\A").replace("$", r"\Z"), max_length=31)]
KeyId = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]{43}\Z")]

Claims = TypeVar("Claims")


def read(kind: Kind, payload: bytes, as_type: type[Claims]) -> Claims:
    """Of a payload whose signature held. Raises DocumentRefusedError."""
    try:
        payload.decode("utf-8")
        return msgspec.json.decode(payload, type=as_type)
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError) as error:
        raise DocumentRefusedError(
            Refusal.MALFORMED,
            _("The claims of the %(document)s are not as they must be: %(why)s.")
            % {"document": kind.title, "why": error},
        ) from error
