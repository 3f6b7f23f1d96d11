"""The words for how an execution stands, and what they are called on a page."""

from enum import StrEnum
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class Status(StrEnum):
    """AWS IoT Jobs' eight, so that scripts know them."""

    QUEUED = "QUEUED"
    IN_PROGRESS = "IN_PROGRESS"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    TIMED_OUT = "TIMED_OUT"
    REJECTED = "REJECTED"
    REMOVED = "REMOVED"
    CANCELED = "CANCELED"


OPEN: Final = (Status.QUEUED, Status.IN_PROGRESS)


class Phase(StrEnum):
    """How far a gateway is, by its own word."""

    DOWNLOADING = "downloading"
    DOWNLOADED = "downloaded"
    VERIFIED = "verified"
    INSTALLING = "installing"
    REBOOTING = "rebooting"
    CONFIRMING = "confirming"


class Reason(StrEnum):
    """Why an execution ended as it did (docs/firmware-updates.md, "Report")."""

    REQUESTED = "requested"
    DOWNLOAD_FAILED = "download_failed"
    HASH_MISMATCH = "hash_mismatch"
    MALFORMED = "malformed"
    SIGNATURE_INVALID = "signature_invalid"
    KEY_UNKNOWN = "key_unknown"
    KEY_REVOKED = "key_revoked"
    KEY_OUT_OF_TIME = "key_out_of_time"
    WRONG_GATEWAY = "wrong_gateway"
    WRONG_PRODUCT = "wrong_product"
    WRONG_FAMILY = "wrong_family"
    WRONG_HARDWARE = "wrong_hardware"
    WRONG_CHIP = "wrong_chip"
    DOWNGRADE_REFUSED = "downgrade_refused"
    SOURCE_TOO_OLD = "source_too_old"
    REPLAYED = "replayed"
    EXPIRED = "expired"
    FOREIGN_URL = "foreign_url"
    TOO_LARGE = "too_large"
    KNOWN_BAD = "known_bad"
    ALREADY_RUNNING = "already_running"
    NO_TRUST = "no_trust"
    FLASH_FAILED = "flash_failed"
    NOT_BOOTABLE = "not_bootable"
    SELF_TEST_FAILED = "self_test_failed"
    NOT_CONFIRMED = "not_confirmed"
    ROLLED_BACK = "rolled_back"
    SUPERSEDED = "superseded"
    NO_ANSWER = "no_answer"
    LOST = "lost"
    GATEWAY_GONE = "gateway_gone"
    WITHDRAWN = "withdrawn"
    NO_SPACE = "no_space"
    LOCAL_FAULT = "local_fault"


# A gateway that says one of these has had the new image booted.
AFTER_A_BOOT: Final = frozenset({Reason.SELF_TEST_FAILED, Reason.NOT_CONFIRMED, Reason.ROLLED_BACK})
# … and by these the image is bad for its hardware: KnownBad counts them.
OF_A_BAD_IMAGE: Final = AFTER_A_BOOT | {Reason.NOT_BOOTABLE}

PHASE_NAMES: Final[dict[Phase, str | Promise]] = {
    Phase.DOWNLOADING: _("downloading"),
    Phase.DOWNLOADED: _("downloaded"),
    Phase.VERIFIED: _("verified"),
    Phase.INSTALLING: _("installing"),
    Phase.REBOOTING: _("rebooting"),
    Phase.CONFIRMING: _("on trial"),
}

REASON_SENTENCES: Final[dict[Reason, str | Promise]] = {
    Reason.REQUESTED: _("A person asked for it."),
    Reason.DOWNLOAD_FAILED: _("The gateway could not download the image; look at its network and the firmware server."),
    Reason.HASH_MISMATCH: _("What the gateway downloaded is not the image of the release; it was thrown away."),
    Reason.MALFORMED: _("The gateway could not read the command; it may have been changed on its way."),
    Reason.SIGNATURE_INVALID: _("A signature is not right: somebody else made or changed the command."),
    Reason.KEY_UNKNOWN: _("The gateway does not know the key that signed it; has it the present trust set?"),
    Reason.KEY_REVOKED: _("It was signed with a key that is revoked; sign the release anew."),
    Reason.KEY_OUT_OF_TIME: _("It was signed with a key that is not valid at this time; make a new trust set."),
    Reason.WRONG_GATEWAY: _("The ticket is for another gateway."),
    Reason.WRONG_PRODUCT: _("The release is for another product."),
    Reason.WRONG_FAMILY: _("The release is for another device family."),
    Reason.WRONG_HARDWARE: _("The release is not for this hardware revision."),
    Reason.WRONG_CHIP: _("The release is for another chip."),
    Reason.DOWNGRADE_REFUSED: _("The release is older than what the gateway has confirmed before."),
    Reason.SOURCE_TOO_OLD: _("The gateway runs a version from which this release can't be reached directly."),
    Reason.REPLAYED: _("The gateway has had a newer ticket since, of another update, and follows that."),
    Reason.EXPIRED: _("The ticket had expired when the gateway read it."),
    Reason.FOREIGN_URL: _(
        "The image is on a host or port that the gateway does not know: TDS_UPDATE_URL must say the one that it is set"
        " to, which is its broker's host and port 8070 unless it was told otherwise."
    ),
    Reason.TOO_LARGE: _("The image does not fit into the gateway's slot."),
    Reason.KNOWN_BAD: _("The version has failed on this gateway before; it does not try it again."),
    Reason.ALREADY_RUNNING: _("The gateway runs it already."),
    Reason.NO_TRUST: _("The gateway has no trust set yet."),
    Reason.FLASH_FAILED: _("The gateway's flash could not be written; the unit may be worn out."),
    Reason.NOT_BOOTABLE: _("The boot loader refused the new image; the gateway runs the former one."),
    Reason.SELF_TEST_FAILED: _("The new image's self-test failed, and the gateway went back to the former one."),
    Reason.NOT_CONFIRMED: _("The new image did not reach the platform in time, and the gateway went back."),
    Reason.ROLLED_BACK: _("After its reboot the gateway runs the former image again."),
    Reason.SUPERSEDED: _("Another update or image took its place."),
    Reason.NO_ANSWER: _("The gateway did not answer in time; it may be switched off or without network."),
    Reason.LOST: _("Nothing came from the gateway since it began to install; somebody should look at it."),
    Reason.GATEWAY_GONE: _("The gateway was disabled or retired."),
    Reason.WITHDRAWN: _("The release was withdrawn."),
    Reason.NO_SPACE: _("The gateway has no room for the image."),
    Reason.LOCAL_FAULT: _("A fault of the gateway itself; its own words are beside it."),
}
