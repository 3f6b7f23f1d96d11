"""Tags of gateways: given, taken away, bounded, each company's own, written down; by command line and /admin/."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import translation
from typer.testing import CliRunner, Result

from tds.fleet import audit, lifecycle, tags
from tds.fleet.limits import MAX_TAG_CHARS
from tds.fleet.models import AuditEntry, Gateway, GatewayStatus, GatewayTag, Role, Tag, Tenant, User
from tds.gateway_commands import gateway_app
from tests import seeding

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("english")]

LOOK_S: Final = 0.3  # long enough for a deed that does not wait to be done
NOW: Final = datetime(2026, 2, 18, 18, 30, tzinfo=UTC)


@pytest.fixture
def acme() -> Tenant:
    return seeding.tenant("acme")


@pytest.fixture
def rival() -> Tenant:
    return seeding.tenant("rival")


@pytest.fixture
def gateway(acme: Tenant) -> Gateway:
    return seeding.gateway(acme, "GW-1")


@pytest.fixture
def ana(acme: Tenant) -> User:
    return seeding.person("ana", acme, role=Role.OPERATOR)


def of(gateway: Gateway) -> list[str]:
    return tags.of([gateway.pk])[gateway.pk]


def trail() -> list[tuple[Any, ...]]:
    return list(AuditEntry.objects.order_by("id").values_list("actor", "action", "object_name", "detail"))


@contextmanager
def refused(says: str) -> Iterator[None]:
    """With a sentence; and nothing was done."""

    def rows() -> list[Any]:
        return [list(model._default_manager.order_by("pk").values()) for model in (Tag, GatewayTag, AuditEntry)]

    before = rows()
    with pytest.raises(tags.TagRefusedError, match=says):
        yield
    assert rows() == before


@contextmanager
def committed() -> Iterator[None]:
    """What is written in it meets the constraints that wait for a commit."""
    with transaction.atomic():
        yield
        connection.check_constraints()


# The deeds


def test_tags_are_given_and_taken_away_and_who_did_it_is_written_down(gateway: Gateway, ana: User) -> None:
    assert tags.tag([gateway], ["Sul", "norte"], by=ana) == 1
    assert of(gateway) == ["norte", "Sul"]
    assert tags.untag([gateway], ["SUL"], by=audit.COMMAND_LINE) == 1
    assert of(gateway) == ["norte"]
    assert trail() == [
        ("ana", "gateway.tagged", "GW-1", {"tags": "Sul, norte"}),
        ("command line", "gateway.untagged", "GW-1", {"tags": "Sul"}),
    ]
    assert {entry.tenant for entry in audit.of_gateway(gateway)} == {gateway.tenant}


def test_what_changes_nothing_leaves_no_entry(gateway: Gateway, ana: User) -> None:
    tags.tag([gateway], ["norte"], by=ana)
    assert tags.tag([gateway], ["NORTE"], by=ana) == 0
    assert tags.untag([gateway], ["sul"], by=ana) == 0
    assert tags.tag([gateway], [], by=ana) == 0
    assert len(trail()) == 1


def test_large_and_small_letters_are_one_tag_which_stays_as_it_was_written_first(
    acme: Tenant, gateway: Gateway, ana: User
) -> None:
    other = seeding.gateway(acme, "GW-2")
    tags.tag([gateway], ["São-Paulo"], by=ana)
    tags.tag([gateway, other], ["SÃO-PAULO", "são-paulo"], by=ana)
    assert of(other) == of(gateway) == ["São-Paulo"]
    assert Tag.objects.count() == 1
    assert [entry[2] for entry in trail()] == ["GW-1", "GW-2"]  # the first had it


def test_a_deed_that_is_rolled_back_leaves_neither_tag_nor_entry(gateway: Gateway, ana: User) -> None:
    with transaction.atomic():
        tags.tag([gateway], ["norte"], by=ana)
        transaction.set_rollback(True)
    assert (Tag.objects.count(), of(gateway), trail()) == (0, [], [])


def test_a_tag_goes_with_the_last_gateway_that_has_it(acme: Tenant, gateway: Gateway, ana: User) -> None:
    other = seeding.gateway(acme, "GW-2")
    tags.tag([gateway, other], ["norte", "sul"], by=ana)
    tags.untag([gateway], ["norte", "sul"], by=ana)
    assert {tag.name for tag in Tag.objects.all()} == {"norte", "sul"}
    tags.untag([other], ["norte"], by=ana)
    assert [tag.name for tag in Tag.objects.all()] == ["sul"]


def test_a_gateway_that_retires_gives_its_tags_up_and_gets_none(acme: Tenant, gateway: Gateway, ana: User) -> None:
    other = seeding.gateway(acme, "GW-2")
    tags.tag([gateway, other], ["norte"], by=ana)
    tags.tag([gateway], ["sul"], by=ana)
    lifecycle.change(gateway, GatewayStatus.RETIRED, by=ana, now=NOW)
    assert (of(gateway), of(other), [tag.name for tag in Tag.objects.all()]) == ([], ["norte"], ["norte"])
    assert trail()[-1] == ("ana", "gateway.retired", "GW-1", {"before": "active", "tags": "norte, sul"})
    for deed in (tags.tag, tags.untag):
        with refused("GW-1 is retired, and has no tags any more."):
            deed([other, gateway], ["norte"], by=ana)
    heir = seeding.gateway(acme, "GW-1")
    assert of(heir) == []


def test_a_gateway_that_is_disabled_keeps_its_tags(gateway: Gateway, ana: User) -> None:
    tags.tag([gateway], ["norte"], by=ana)
    lifecycle.change(gateway, GatewayStatus.DISABLED, by=ana, now=NOW)
    assert of(gateway) == ["norte"]
    assert tags.tag([gateway], ["sul"], by=ana) == 1


@pytest.mark.parametrize("text", ["", "a b", "-a", "x" * (MAX_TAG_CHARS + 1), "a\x00b", "<b>"])
def test_what_is_no_name_is_refused_with_a_sentence(gateway: Gateway, ana: User, text: str) -> None:
    for deed in (tags.tag, tags.untag):
        with refused("can't be a tag: use letters, digits, dashes, underscores and dots"):
            deed([gateway], ["good", text], by=ana)


# Bounds


def test_a_gateway_has_a_bounded_number_of_tags(
    acme: Tenant, gateway: Gateway, ana: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tags, "MAX_TAGS_A_GATEWAY", 3)
    other = seeding.gateway(acme, "GW-2")
    tags.tag([gateway], ["a", "b", "c"], by=ana)
    assert tags.tag([gateway], ["A", "b"], by=ana) == 0  # which it has
    with refused("GW-1 would have more than 3 tags"):
        tags.tag([other, gateway], ["d"], by=ana)
    with refused("GW-2 would have more than 3 tags"):
        tags.tag([other], ["a", "b", "c", "d"], by=ana)


def test_a_company_has_a_bounded_number_of_tags_and_another_has_its_own(
    acme: Tenant, rival: Tenant, gateway: Gateway, ana: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tags, "MAX_TAGS_A_TENANT", 3)
    other = seeding.gateway(acme, "GW-2")
    tags.tag([gateway], ["a", "b"], by=ana)
    tags.tag([other], ["b", "c"], by=ana)
    with refused("more than 3 tags; take those away that nobody needs"):
        tags.tag([gateway], ["a", "d"], by=ana)
    with refused("These are 4 tags; a company has at most 3"):
        tags.untag([gateway], ["a", "b", "c", "d"], by=ana)
    assert tags.tag([seeding.gateway(rival, "R-1")], ["x", "y", "z"], by=audit.COMMAND_LINE) == 1
    tags.untag([other], ["c"], by=ana)  # the last one that had it
    assert tags.tag([gateway], ["d"], by=ana) == 1


# Two companies


def test_each_company_has_its_own_tag_of_a_name(acme: Tenant, rival: Tenant, gateway: Gateway) -> None:
    theirs = seeding.gateway(rival, "R-1")
    assert tags.tag([gateway, theirs], ["norte"], by=audit.COMMAND_LINE) == 2
    assert {tag.tenant for tag in Tag.objects.all()} == {acme, rival}
    assert {row.tenant for row in GatewayTag.objects.all()} == {acme, rival}
    tags.untag([theirs], ["norte"], by=audit.COMMAND_LINE)
    assert of(gateway) == ["norte"]
    assert [entry.tenant for entry in audit.of_gateway(theirs)] == [rival, rival]


@pytest.mark.parametrize("whose", ["the tag's", "the gateway's", "a third one's"])
def test_the_database_refuses_another_companys_tag(acme: Tenant, rival: Tenant, gateway: Gateway, whose: str) -> None:
    tenant = {"the tag's": rival, "the gateway's": acme, "a third one's": seeding.tenant("third")}[whose]
    theirs = Tag.objects.create(tenant=rival, name="norte", folded="norte")
    with pytest.raises(IntegrityError), committed():
        GatewayTag.objects.create(tenant=tenant, gateway=gateway, tag=theirs)


@pytest.mark.parametrize("what", ["gateway", "tag", "row"])
def test_the_database_refuses_to_move_one_end_to_another_company(
    acme: Tenant, rival: Tenant, gateway: Gateway, what: str
) -> None:
    tags.tag([gateway], ["norte"], by=audit.COMMAND_LINE)
    moved: Any = {"gateway": Gateway, "tag": Tag, "row": GatewayTag}[what]
    with pytest.raises(IntegrityError), committed():
        moved._default_manager.update(tenant=rival)


def test_the_database_refuses_a_second_tag_of_a_name(acme: Tenant) -> None:
    Tag.objects.create(tenant=acme, name="norte", folded="norte")
    with pytest.raises(IntegrityError), transaction.atomic():
        Tag.objects.create(tenant=acme, name="NORTE", folded="norte")


# Two at the same moment


def both(first: Callable[[], object], second: Callable[[], object]) -> str:
    """The second begins while the first has not committed yet, and waits for it. What the second is refused with."""
    said: list[str] = []

    def in_another_thread() -> None:
        try:
            with translation.override("en"):
                second()
        except tags.TagRefusedError as error:
            said.append(str(error))
        finally:
            connection.close()

    thread = threading.Thread(target=in_another_thread)
    with transaction.atomic():
        first()
        thread.start()
        thread.join(LOOK_S)
        assert thread.is_alive()
    thread.join()
    return "".join(said)


@pytest.mark.django_db(transaction=True)
def test_two_at_once_do_not_pass_a_companys_bound(
    acme: Tenant, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tags, "MAX_TAGS_A_TENANT", 1)
    other = seeding.gateway(acme, "GW-2")
    said = both(
        lambda: tags.tag([gateway], ["a"], by=audit.COMMAND_LINE),
        lambda: tags.tag([other], ["b"], by=audit.COMMAND_LINE),
    )
    assert said.startswith("The company would have more than 1 tags")
    assert [each.name for each in Tag.objects.all()] == ["a"]


@pytest.mark.django_db(transaction=True)
def test_a_tag_that_is_given_while_it_is_taken_from_the_last_other_one_is_there(acme: Tenant, gateway: Gateway) -> None:
    tags.tag([gateway], ["norte"], by=audit.COMMAND_LINE)
    other = seeding.gateway(acme, "GW-2")
    assert not both(
        lambda: tags.untag([gateway], ["norte"], by=audit.COMMAND_LINE),
        lambda: tags.tag([other], ["norte"], by=audit.COMMAND_LINE),
    )
    assert (of(gateway), of(other), Tag.objects.count()) == ([], ["norte"], 1)


# The command line


def run(*words: str) -> Result:
    return CliRunner().invoke(gateway_app, [*words])


def said(*words: str) -> Any:
    result = run(*words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def test_the_command_line_gives_tags_takes_them_away_and_lists_by_them(acme: Tenant, gateway: Gateway) -> None:
    seeding.gateway(acme, "GW-2")
    seeding.gateway(acme, "GW-3")
    assert said("tag", "GW-1", "GW-2", "--add", "norte", "--add", "Solar") == {
        "gateways": [{"code": code, "tags": ["norte", "Solar"]} for code in ("GW-1", "GW-2")],
        "tagged": 2,
        "untagged": 0,
    }
    result = run("tag", "GW-2", "--remove", "NORTE", "--remove", "solar", "--add", "sul")
    assert (result.exit_code, result.output) == (0, "GW-2: sul\n")
    assert [(row["code"], row["tags"]) for row in said("list")] == [
        ("GW-1", ["norte", "Solar"]),
        ("GW-2", ["sul"]),
        ("GW-3", []),
    ]
    assert [row["code"] for row in said("list", "--tag", "Norte")] == ["GW-1"]
    assert [row["code"] for row in said("list", "--tag", "norte", "--tag", "sul")] == ["GW-1", "GW-2"]
    assert said("list", "--tag", "oeste") == []
    assert run("list", "--tag", "oeste").output == "No gateway has that tag.\n"
    assert "GW-1: tags norte, Solar" in run("list").output
    assert said("show", "GW-1")["tags"] == ["norte", "Solar"]
    assert "Tags:         norte, Solar\n" in run("show", "GW-1").output
    assert run("tag", "GW-2", "--remove", "sul").output == "GW-2: no tags\n"


def test_the_command_line_writes_down_what_it_did(gateway: Gateway) -> None:
    run("tag", "GW-1", "--add", "a", "--add", "b")
    run("tag", "GW-1", "--add", "c", "--remove", "a")
    assert trail() == [
        ("command line", "gateway.tagged", "GW-1", {"tags": "a, b"}),
        ("command line", "gateway.untagged", "GW-1", {"tags": "a"}),
        ("command line", "gateway.tagged", "GW-1", {"tags": "c"}),
    ]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["GW-1"], "Say which tag: --add NAME, --remove NAME, or both."),
        (["GW-1", "GW-9", "--add", "a"], "There is no gateway 'GW-9'"),
        (["GW-1", "--add", "a b"], "“a b” can't be a tag"),
        (["GW-1", "--remove", "norte", "--add", "a/b"], "“a/b” can't be a tag"),
        (["GW-1", "--add", "A", "--remove", "a"], "a is to be given and taken away at once"),
    ],
)
def test_what_the_command_line_can_not_do_is_a_sentence_and_changes_nothing(
    gateway: Gateway, words: list[str], says: str
) -> None:
    run("tag", "GW-1", "--add", "norte")
    result = run("tag", *words)
    assert (result.exit_code, says in result.output) == (1, True), result.output
    assert (of(gateway), len(trail())) == (["norte"], 1)


# /admin/


@pytest.fixture
def chief() -> Client:
    client = Client(headers={"Accept-Language": "en"})
    client.force_login(User.objects.create_superuser("chefe", password="correct horse"))
    return client


def saved(client: Client, gateway: Gateway, **typed: str) -> str:
    """What /admin/ answers to its form of a gateway, as it is but for what is typed."""
    page = reverse("admin:tds_new_gateway_change", args=[gateway.pk])
    fields = client.get(page).context["adminform"].form.initial
    given = {name: "" if value is None else value for name, value in fields.items()} | {"auto_devices": "on"} | typed
    return client.post(page, given, follow=True).content.decode()


def test_the_platforms_operator_changes_tags_in_admin_and_it_is_written_down(chief: Client, gateway: Gateway) -> None:
    tags.tag([gateway], ["norte", "sul"], by=audit.COMMAND_LINE)
    saved(chief, gateway, tags="Norte, Solar")
    assert of(gateway) == ["norte", "Solar"]
    assert trail()[1:] == [
        ("chefe", "gateway.untagged", "GW-1", {"tags": "sul"}),
        ("chefe", "gateway.tagged", "GW-1", {"tags": "Solar"}),
    ]
    saved(chief, gateway, name="Linha 3")
    assert of(gateway) == ["norte", "Solar"]
    assert trail()[-1] == ("chefe", "gateway.changed", "GW-1", {"fields": "name"})
    shown = chief.get(reverse("admin:tds_new_tag_changelist")).content.decode()
    assert "Solar" in shown


def test_admin_refuses_what_is_no_tag_with_a_sentence(
    chief: Client, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "can&#x27;t be a tag" in saved(chief, gateway, tags="a/b")
    assert "would have more than 20 tags" in saved(chief, gateway, tags=" ".join(map(str, range(21))))
    assert trail() == []
    monkeypatch.setattr(tags, "MAX_TAGS_A_TENANT", 2)
    tags.tag([seeding.gateway(gateway.tenant, "GW-2")], ["a", "b"], by=audit.COMMAND_LINE)
    assert "The company would have more than 2 tags" in saved(chief, gateway, tags="c")
    assert (of(gateway), len(trail())) == ([], 1)


def test_a_gateway_that_admin_registers_has_its_tags_at_once(chief: Client, acme: Tenant) -> None:
    typed = {"tenant": acme.pk, "code": "GW-7", "tags": "norte", "auto_devices": "on"}
    chief.post(reverse("admin:tds_new_gateway_add"), typed)
    assert of(Gateway.objects.get()) == ["norte"]
    assert [entry[1] for entry in trail()] == ["gateway.registered", "gateway.tagged"]
