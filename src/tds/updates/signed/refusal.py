"""Why a signed document is not believed, in the words of reports (docs/firmware-updates.md, "Report")."""

from enum import StrEnum


class Refusal(StrEnum):
    MALFORMED = "malformed"
    SIGNATURE_INVALID = "signature_invalid"
    KEY_UNKNOWN = "key_unknown"
    KEY_REVOKED = "key_revoked"
    KEY_OUT_OF_TIME = "key_out_of_time"
    EXPIRED = "expired"
    REPLAYED = "replayed"  # a trust set older than the one that is there


class DocumentRefusedError(Exception):
    """The text is a sentence: what is wrong, and whose fault it is."""

    def __init__(self, reason: Refusal, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason
