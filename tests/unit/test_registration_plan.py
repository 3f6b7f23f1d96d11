"""The limits of what registers itself: exact, and a message has room whole or not at all."""

from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tds.fleet.directory import PENDING, KnownDevice, KnownGateway
from tds.fleet.registration import Newcomer, Obstacle, plan

Pairs = list[tuple[str, str]]
State = tuple[dict[str, dict[tuple[str, str], int]], set[tuple[str, str]], dict[tuple[str, str], int]]


def pairs(start: int, end: int) -> Pairs:
    return [(f"tipo-{n}", "") for n in range(start, end)]


def gateway(devices: dict[str, Pairs] | None = None, *, auto_devices: bool = True) -> KnownGateway:
    made = KnownGateway("GW", 1, 1, "active", auto_devices=auto_devices)
    for n, (code, known) in enumerate((devices or {}).items(), 1):
        device = made.devices[code] = KnownDevice(n)
        device.metrics = dict.fromkeys(known, 1)
        made.pairs.update(known)
    return made


def of_tenant(count: int) -> dict[tuple[str, str], int]:
    return {pair: n for n, pair in enumerate(pairs(0, count), 1)}


def state(of: KnownGateway, tenant: dict[tuple[str, str], int]) -> State:
    devices = {code: dict(device.metrics) for code, device in of.devices.items()}
    return deepcopy((devices, of.pairs, tenant))


def test_a_first_reading_plans_its_device_and_metrics_as_pending() -> None:
    of, tenant = gateway(), of_tenant(0)

    assert plan(Newcomer(of, "D01", pairs(0, 2)), tenant) is None

    expected = dict.fromkeys(pairs(0, 2), PENDING)
    assert of.devices["D01"].id == PENDING
    assert state(of, tenant) == ({"D01": expected}, set(expected), expected)


def test_a_new_metric_of_a_known_device_keeps_the_ids_that_are_known() -> None:
    of, tenant = gateway({"D01": pairs(0, 1)}), of_tenant(2)

    assert plan(Newcomer(of, "D01", pairs(0, 3)), tenant) is None

    assert of.devices["D01"].id == 1
    assert of.devices["D01"].metrics == {("tipo-0", ""): 1, ("tipo-1", ""): PENDING, ("tipo-2", ""): PENDING}
    assert tenant == of_tenant(2) | {("tipo-2", ""): PENDING}


def test_an_id_that_is_pending_is_not_remembered_for_the_next_message() -> None:
    of, tenant, form = gateway(), of_tenant(0), tuple(pairs(0, 2))
    plan(Newcomer(of, "D01", form), tenant)
    device = of.devices["D01"]

    assert device.metric_ids(form) == (PENDING, PENDING)
    device.metrics = dict(zip(form, (7, 8), strict=True))  # as `register` does when the database gave them

    assert device.metric_ids(form) == (7, 8)
    assert device.metric_ids(form[::-1]) == (8, 7)
    assert device.metric_ids((*form, ("x", ""))) is None


def test_the_same_tipo_in_another_unit_is_another_metric() -> None:
    of, tenant = gateway({"D01": [("t", "°C")]}), {("t", "°C"): 9}

    assert plan(Newcomer(of, "D01", [("t", "K")]), tenant) is None

    assert set(tenant) == {("t", "°C"), ("t", "K")}


def test_a_gateway_that_registers_nothing_keeps_its_known_devices_growing() -> None:
    of, tenant = gateway({"D01": []}, auto_devices=False), of_tenant(0)

    assert plan(Newcomer(of, "D02", pairs(0, 1)), tenant) is Obstacle.UNKNOWN_DEVICE
    assert plan(Newcomer(of, "D01", pairs(0, 1)), tenant) is None


def test_the_256th_device_has_room_and_the_257th_has_none() -> None:
    of, tenant = gateway({f"D{n}": [] for n in range(255)}), of_tenant(0)

    assert plan(Newcomer(of, "last", pairs(0, 1)), tenant) is None
    assert plan(Newcomer(of, "more", pairs(0, 1)), tenant) is Obstacle.TOO_MANY_DEVICES
    assert plan(Newcomer(of, "last", pairs(0, 2)), tenant) is None


def test_the_500th_metric_of_a_device_has_room_and_the_501st_has_none() -> None:
    of, tenant = gateway({"D01": pairs(0, 499)}), of_tenant(499)

    assert plan(Newcomer(of, "D01", pairs(498, 501)), tenant) is Obstacle.TOO_MANY_METRICS
    assert plan(Newcomer(of, "D01", pairs(499, 500)), tenant) is None
    assert plan(Newcomer(of, "D01", pairs(500, 501)), tenant) is Obstacle.TOO_MANY_METRICS


def test_the_1000th_metric_of_a_gateway_has_room_and_the_1001st_has_none() -> None:
    of, tenant = gateway({"D01": pairs(0, 500), "D02": pairs(500, 999)}), of_tenant(999)

    assert plan(Newcomer(of, "D03", pairs(999, 1_001)), tenant) is Obstacle.TOO_MANY_METRICS
    assert plan(Newcomer(of, "D03", pairs(999, 1_000)), tenant) is None
    assert plan(Newcomer(of, "D03", pairs(1_000, 1_001)), tenant) is Obstacle.TOO_MANY_METRICS


def test_a_gateways_metrics_are_counted_once_however_many_devices_send_them() -> None:
    of, tenant = gateway(), of_tenant(0)

    for n in range(256):
        assert plan(Newcomer(of, f"D{n}", pairs(0, 500)), tenant) is None

    assert len(of.pairs) == len(tenant) == 500


def test_the_5000th_metric_of_a_tenant_has_room_and_the_5001st_has_none() -> None:
    of, tenant = gateway(), of_tenant(4_999)

    assert plan(Newcomer(of, "D01", pairs(4_999, 5_001)), tenant) is Obstacle.TOO_MANY_METRICS
    assert plan(Newcomer(of, "D01", pairs(4_999, 5_000)), tenant) is None
    assert plan(Newcomer(of, "D01", pairs(5_000, 5_001)), tenant) is Obstacle.TOO_MANY_METRICS
    assert plan(Newcomer(of, "D02", pairs(0, 500)), tenant) is None


def test_the_metrics_of_a_tenant_are_no_limit_for_what_it_has_already() -> None:
    of, tenant = gateway(), of_tenant(5_000)

    assert plan(Newcomer(of, "D01", pairs(4_500, 5_000)), tenant) is None


@pytest.mark.parametrize(
    ("of", "newcomer", "metrics_of_tenant"),
    [
        pytest.param(gateway(auto_devices=False), ("D02", pairs(0, 3)), 1, id="no device may register"),
        pytest.param(gateway({f"D{n}": [] for n in range(256)}), ("new", pairs(0, 3)), 1, id="no more devices"),
        pytest.param(gateway({"D01": pairs(0, 499)}), ("D01", pairs(499, 502)), 499, id="no more of the device"),
        pytest.param(
            gateway({"D01": pairs(0, 500), "D02": pairs(500, 999)}), ("D03", pairs(998, 1_001)), 999, id="gateway"
        ),
        pytest.param(gateway(), ("D03", pairs(4_998, 5_001)), 4_999, id="no more of the tenant"),
    ],
)
def test_a_message_without_room_changes_nothing(
    of: KnownGateway, newcomer: tuple[str, Pairs], metrics_of_tenant: int
) -> None:
    tenant = of_tenant(metrics_of_tenant)
    before = state(of, tenant)

    assert plan(Newcomer(of, *newcomer), tenant) is not None

    assert state(of, tenant) == before


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
        of, tenant = gateway(), of_tenant(3)
        for device, numbers in messages:
            before = state(of, tenant)
            sent = [(f"tipo-{n}", "") for n in numbers]
            if plan(Newcomer(of, device, sent), tenant) is None:
                assert set(sent) <= of.devices[device].metrics.keys() & of.pairs & tenant.keys()
            else:
                assert state(of, tenant) == before
        assert len(of.devices) <= 2
        assert all(len(device.metrics) <= 4 for device in of.devices.values())
        assert len(of.pairs) <= 6
        assert len(tenant) <= 8
        assert of.pairs == {pair for device in of.devices.values() for pair in device.metrics}
