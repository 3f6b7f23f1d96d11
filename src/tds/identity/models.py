"""Certificates, claim codes and passwords of gateways, and how far the brokers have taken in who is refused."""

from typing import Final

from django.db import models
from django.utils.translation import gettext_lazy as _

from tds.fleet.models import Gateway

SERIAL_CHARS: Final = 40  # hexadecimal digits of 20 octets: RFC 5280, 4.1.2.2


class How(models.TextChoices):
    """By which way a certificate was given."""

    FACTORY = "factory", _("factory")
    CLAIM = "claim", _("claim code")
    RENEWAL = "renewal", _("renewal")


class Certificate(models.Model):
    """What was issued to a gateway. It is refused when it is revoked, or its gateway is not active."""

    gateway = models.ForeignKey(Gateway, models.PROTECT, related_name="certificates")
    serial = models.CharField(_("serial number"), max_length=SERIAL_CHARS, unique=True)
    issuer = models.CharField(_("authority"), max_length=32)
    fingerprint = models.CharField(_("SHA-256"), max_length=64)
    how = models.CharField(_("given by"), max_length=16, choices=How.choices)
    not_before = models.DateTimeField(_("valid from"))
    not_after = models.DateTimeField(_("valid until"))
    issued_at = models.DateTimeField(_("issued"))
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True)
    revocation_reason = models.CharField(_("reason"), max_length=32, blank=True)  # RFC 5280, 5.3.1
    listed_in = models.BigIntegerField(_("refused since revision"), null=True, editable=False)
    # Of what a board asked for itself: it may ask again for an answer that got lost. A box keeps its own journal.
    der = models.BinaryField(null=True, editable=False)

    class Meta:
        ordering = ("-issued_at", "-id")
        indexes = (
            models.Index(fields=("gateway", "-not_after"), name="certificate_of_gateway"),
            models.Index(fields=("not_after",), name="certificate_end"),
            models.Index(fields=("listed_in",), name="certificate_listed", condition=models.Q(listed_in__isnull=False)),
        )
        verbose_name = _("certificate")
        verbose_name_plural = _("certificates")

    def __str__(self) -> str:
        return self.serial


class RevocationList(models.Model):
    """The newest list that a device authority signed. `revision` is one count for all of them.

    The authorities that have a row are those that are trusted: a broker's access files are made of these rows alone,
    by a process that can't read the authorities' folder.
    """

    issuer = models.CharField(_("authority"), max_length=32, unique=True)
    revision = models.BigIntegerField()
    this_update = models.DateTimeField()
    next_update = models.DateTimeField()
    pem = models.TextField()
    # What brokers trust along with it: without a list OpenSSL refuses all that this authority issued.
    anchor = models.TextField()
    # A certificate with its key that the list always has: who is let in with it is let in without a look at the list.
    canary = models.TextField()

    class Meta:
        ordering = ("issuer",)
        verbose_name = _("revocation list")
        verbose_name_plural = _("revocation lists")

    def __str__(self) -> str:
        return f"{self.issuer} {self.revision}"


class BrokerAccess(models.Model):
    """Up to which revision a broker refuses whom it must."""

    broker = models.CharField(max_length=32, unique=True)
    revision = models.BigIntegerField(default=0)
    # Up to which nobody can come in any more over a connection that was made before, and said nothing since. Of one
    # that says CONNECT byte by byte nobody knows: what comes in so is cut in its turn (access/slow_round.py).
    settled = models.BigIntegerField(default=0)
    applied_at = models.DateTimeField()  # when it took in that revision
    as_of = models.DateTimeField()  # it goes by what the database said at that moment, passwords included
    detail = models.CharField(max_length=500, blank=True)  # why it is not further

    class Meta:
        ordering = ("broker",)
        verbose_name = _("broker's access files")
        verbose_name_plural = _("brokers' access files")

    def __str__(self) -> str:
        return f"{self.broker} {self.revision}"


class ClaimCode(models.Model):
    """A code for one enrolment of one gateway. Only its hash is kept: it is shown once, when it is made."""

    gateway = models.ForeignKey(Gateway, models.CASCADE, related_name="claim_codes")
    sha256 = models.CharField(max_length=64, unique=True, editable=False)
    hint = models.CharField(_("begins with"), max_length=12, editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    expires_at = models.DateTimeField(_("expires"))
    used_at = models.DateTimeField(_("used"), null=True, blank=True)
    # What it was answered with. None as well: that was before answers were kept.
    certificate = models.ForeignKey(Certificate, models.SET_NULL, related_name="+", null=True, editable=False)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True)

    class Meta:
        ordering = ("-created_at", "-id")
        verbose_name = _("claim code")
        verbose_name_plural = _("claim codes")

    def __str__(self) -> str:
        return f"{self.hint}…"


class GatewayPassword(models.Model):
    """For boards on a bench that have no certificate yet, while the broker's plain listener asks for passwords."""

    gateway = models.OneToOneField(Gateway, models.CASCADE, related_name="password")
    hash = models.CharField(max_length=200, editable=False)  # as mosquitto keeps them
    made_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("gateway password")
        verbose_name_plural = _("gateway passwords")

    def __str__(self) -> str:
        return self.gateway.code
