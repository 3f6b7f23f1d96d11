"""The limits of what registers itself: exact, and a message has room whole or not at all."""

from copy import deepcopy
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tds.fleet.known import KnownDevice, KnownGateway, KnownTenant, Pair
from tds.fleet.registration import PENDING, GatewayUse, Newcomer, Obstacle, TenantUse, plan

Pairs = list[Pair]


@dataclass
class Fleet:
    """A gateway with what it has, and the metrics of its tenant."""

    gateway: KnownGateway
    use: GatewayUse
    tenant: TenantUse

    def plan(self, device: str, sent: Pairs) -> Obstacle | None:
        return plan(Newcomer("GW", self.gateway, device, sent), self.use, self.tenant)

    def devices(self) -> dict[str, Pairs]:
        return {code: sorted(sent) for code, sent in self.use.planned.items()}


def pairs(start: int, end: int) -> Pairs:
    return [(f"tipo-{n}", "") for n in range(start, end)]


def metric_id(pair: Pair) -> int:
    return int(pair[0].removeprefix("tipo-")) + 1


def fleet(devices: dict[str, Pairs] | None = None, of_tenant: int = 0, *, auto_devices: bool = True) -> Fleet:
    """A gateway with devices that have sent this, of a tenant with so many metrics."""
    tenant = KnownTenant(1)
    gateway = KnownGateway(1, tenant, active=True, auto_devices=auto_devices)
    sent_by_any: set[int] = set()
    for n, (code, sent) in enumerate((devices or {}).items(), 1):
        for pair in sent:
            tenant.name(metric_id(pair), pair)
        sent_by_any.update(map(metric_id, sent))
        gateway.remember(KnownDevice(n, code, tenant.metrics(map(metric_id, sent))))
    ids = {pair: metric_id(pair) for pair in pairs(0, of_tenant)}
    return Fleet(gateway, GatewayUse(len(devices or {}), sent_by_any), TenantUse(of_tenant, ids))


def test_a_first_reading_plans_its_device_and_metrics_as_pending() -> None:
    of = fleet()

    assert of.plan("D01", pairs(0, 2)) is None

    assert of.devices() == {"D01": pairs(0, 2)}
    assert (of.use.devices, of.use.pairs) == (1, set(pairs(0, 2)))
    assert of.tenant == TenantUse(2, dict.fromkeys(pairs(0, 2), PENDING))


def test_of_a_known_device_only_what_it_has_not_sent_is_planned() -> None:
    of = fleet({"D01": pairs(0, 1)}, 2)

    assert of.plan("D01", pairs(0, 3)) is None

    assert of.devices() == {"D01": pairs(1, 3)}
    assert of.use.devices == 1
    assert of.tenant == TenantUse(3, {pairs(0, 1)[0]: 1, pairs(1, 2)[0]: 2, pairs(2, 3)[0]: PENDING})


def test_what_one_message_has_planned_is_not_new_in_the_next_one() -> None:
    of = fleet()
    of.plan("D01", pairs(0, 2))

    assert of.plan("D01", pairs(0, 2)) is None
    assert of.plan("D01", pairs(1, 3)) is None
    assert of.plan("D02", pairs(0, 3)) is None

    assert of.devices() == {"D01": pairs(0, 3), "D02": pairs(0, 3)}
    assert (of.use.devices, of.use.pairs, of.tenant.metrics) == (2, set(pairs(0, 3)), 3)


def test_the_same_tipo_in_another_unit_is_another_metric() -> None:
    of = fleet({"D01": pairs(0, 1)}, 1)

    assert of.plan("D01", [("tipo-0", "K")]) is None

    assert set(of.tenant.ids) == {("tipo-0", ""), ("tipo-0", "K")}


def test_a_gateway_that_registers_nothing_keeps_its_known_devices_growing() -> None:
    of = fleet({"D01": []}, auto_devices=False)

    assert of.plan("D02", pairs(0, 1)) is Obstacle.UNKNOWN_DEVICE
    assert of.plan("D01", pairs(0, 1)) is None


def test_the_256th_device_has_room_and_the_257th_has_none() -> None:
    of = fleet({f"D{n}": [] for n in range(255)})

    assert of.plan("last", pairs(0, 1)) is None
    assert of.plan("more", pairs(0, 1)) is Obstacle.TOO_MANY_DEVICES
    assert of.plan("last", pairs(0, 2)) is None


def test_the_500th_metric_of_a_device_has_room_and_the_501st_has_none() -> None:
    of = fleet({"D01": pairs(0, 499)}, 499)

    assert of.plan("D01", pairs(498, 501)) is Obstacle.TOO_MANY_METRICS
    assert of.plan("D01", pairs(499, 500)) is None
    assert of.plan("D01", pairs(500, 501)) is Obstacle.TOO_MANY_METRICS


def test_the_1000th_metric_of_a_gateway_has_room_and_the_1001st_has_none() -> None:
    of = fleet({"D01": pairs(0, 500), "D02": pairs(500, 999)}, 999)

    assert of.plan("D03", pairs(999, 1_001)) is Obstacle.TOO_MANY_METRICS
    assert of.plan("D03", pairs(999, 1_000)) is None
    assert of.plan("D03", pairs(1_000, 1_001)) is Obstacle.TOO_MANY_METRICS
    assert of.plan("D03", pairs(0, 400)) is None


def test_a_gateways_metrics_are_counted_once_however_many_devices_send_them() -> None:
    of = fleet()

    for n in range(256):
        assert of.plan(f"D{n}", pairs(0, 500)) is None

    assert len(of.use.pairs) == of.tenant.metrics == 500


def test_the_5000th_metric_of_a_tenant_has_room_and_the_5001st_has_none() -> None:
    of = fleet(of_tenant=4_999)

    assert of.plan("D01", pairs(4_999, 5_001)) is Obstacle.TOO_MANY_METRICS
    assert of.plan("D01", pairs(4_999, 5_000)) is None
    assert of.plan("D01", pairs(5_000, 5_001)) is Obstacle.TOO_MANY_METRICS
    assert of.plan("D02", pairs(0, 500)) is None


def test_the_metrics_of_a_tenant_are_no_limit_for_what_it_has_already() -> None:
    assert fleet(of_tenant=5_000).plan("D01", pairs(4_500, 5_000)) is None


@pytest.mark.parametrize(
    ("of", "device", "sent"),
    [
        pytest.param(fleet(of_tenant=1, auto_devices=False), "D02", pairs(0, 3), id="no device may register"),
        pytest.param(fleet({f"D{n}": [] for n in range(256)}, 1), "new", pairs(0, 3), id="no more devices"),
        pytest.param(fleet({"D01": pairs(0, 499)}, 499), "D01", pairs(499, 502), id="no more of the device"),
        pytest.param(
            fleet({"D01": pairs(0, 500), "D02": pairs(500, 999)}, 999), "D03", pairs(998, 1_001), id="gateway"
        ),
        pytest.param(fleet(of_tenant=4_999), "D03", pairs(4_998, 5_001), id="no more of the tenant"),
    ],
)
def test_a_message_without_room_changes_nothing(of: Fleet, device: str, sent: Pairs) -> None:
    before = deepcopy((of.use, of.tenant))

    assert of.plan(device, sent) is not None

    assert (of.use, of.tenant) == before


MESSAGES = st.lists(
    st.tuples(st.sampled_from(["A", "B", "C"]), st.lists(st.integers(0, 9), min_size=1, max_size=6, unique=True)),
    max_size=30,
)


@given(MESSAGES)
def test_no_order_of_messages_gets_past_a_limit_or_leaves_half_a_message(messages: list[tuple[str, list[int]]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, limit in (("DEVICES_A_GATEWAY", 2), ("METRICS_A_DEVICE", 4), ("METRICS_A_GATEWAY", 6)):
            patch.setattr(f"tds.fleet.registration.MAX_{name}", limit)
        patch.setattr("tds.fleet.registration.MAX_METRICS_A_TENANT", 8)
        of = fleet({"A": pairs(0, 1)}, 3)
        has = {"A": set(pairs(0, 1))}  # counted here once more, and simply
        of_tenant = set(pairs(0, 3))
        for device, numbers in messages:
            sent = [(f"tipo-{n}", "") for n in numbers]
            before = deepcopy((of.use, of.tenant))
            room = (
                (device in has or len(has) < 2)
                and len(has.get(device, set()).union(sent)) <= 4
                and len(set().union(*has.values(), sent)) <= 6
                and len(of_tenant.union(sent)) <= 8
            )
            assert (of.plan(device, sent) is None) == room
            if room:
                has.setdefault(device, set()).update(sent)
                of_tenant.update(sent)
            else:
                assert (of.use, of.tenant) == before
        assert of.use.devices == len(has)
        assert of.tenant.metrics == len(of_tenant) == len(of.tenant.ids)
        assert {code: set(sent) for code, sent in of.use.planned.items() if sent} == {
            code: new for code, sent in has.items() if (new := sent - (set(pairs(0, 1)) if code == "A" else set()))
        }
