"""What is remembered of a fleet: the ids of a message at once, in few bytes."""

import gc
import json
import tracemalloc
from collections.abc import Callable

import pytest

from tds.fleet import known
from tds.fleet.known import KnownDevice, KnownGateway, KnownTenant, Pair


def pairs(*numbers: int) -> tuple[Pair, ...]:
    return tuple((f"tipo-{n}", "kWh") for n in numbers)


def tenant(metrics: int, tenant_id: int = 1) -> KnownTenant:
    """Its metric n has the id 1,000,000 + n."""
    made = KnownTenant(tenant_id)
    for n in range(metrics):
        made.name(1_000_000 + n, text_of_its_own(f"tipo-{n}"))
    return made


def text_of_its_own(tipo: str) -> Pair:
    """As a driver makes them of a row."""
    made: list[str] = json.loads(json.dumps([tipo, "kWh"]))
    return made[0], made[1]


def test_the_ids_of_a_message_come_in_its_order() -> None:
    of = tenant(5)
    device = of.metrics([1_000_001, 1_000_003])
    assert of.metric_ids(device, pairs(3, 1)) == (1_000_003, 1_000_001)
    assert of.metric_ids(device, pairs(1, 3)) == (1_000_001, 1_000_003)


def test_a_metric_of_another_device_is_not_known_of_this_one_however_often_the_form_was_seen() -> None:
    of = tenant(5)
    one, other = of.metrics([1_000_001, 1_000_003]), of.metrics([1_000_001])
    for _ in range(2):
        assert of.metric_ids(one, pairs(1, 3)) == (1_000_001, 1_000_003)
        assert of.metric_ids(other, pairs(1, 3)) is None
        assert of.metric_ids(one, pairs(1, 7)) is None
    assert of.metric_ids(of.metrics([1_000_003], other), pairs(1, 3)) == (1_000_001, 1_000_003)


def test_a_name_that_another_metric_has_now_is_that_ones_in_every_form() -> None:
    of = tenant(2)
    device = of.metrics([1_000_000, 1_000_001, 2_000_000])
    assert of.metric_ids(device, pairs(0, 1)) == (1_000_000, 1_000_001)
    of.name(2_000_000, pairs(1)[0])
    assert of.metric_ids(device, pairs(0, 1)) is None
    assert of.metric_ids(of.metrics([1_000_000, 2_000_000]), pairs(0, 1)) == (1_000_000, 2_000_000)


def test_what_has_no_name_is_in_no_set() -> None:
    of = tenant(1)
    assert of.metrics([1_000_000, 5]) == of.metrics([1_000_000])
    assert not of.has(of.metrics([1_000_000]), 5)


def test_endless_forms_of_messages_are_answered_and_not_kept() -> None:
    of = tenant(40)
    device = of.metrics(range(1_000_000, 1_000_040))
    limit = known.FORM_PAIRS + known.FORM_PAIRS_A_METRIC * 40
    for n in range(500):
        sent = pairs(*sorted({n % 40, n * 7 % 40, n * 11 % 40}))
        assert of.metric_ids(device, sent) == tuple(1_000_000 + int(tipo[5:]) for tipo, _ in sent)
        assert sum(map(len, of._forms)) == of._forms_pairs <= limit
    assert of.metric_ids(device, pairs(*range(40))) == tuple(range(1_000_000, 1_000_040))
    assert pairs(*range(40)) not in of._forms


@pytest.mark.parametrize("order", [["A", "B", "C"], ["B", "A", "B", "C"]])
def test_a_gateway_knows_its_devices_by_their_codes(order: list[str]) -> None:
    gateway = KnownGateway(1, tenant(0), active=True, auto_devices=True)
    assert gateway.device("A") is None
    for n, code in enumerate(order):
        gateway.remember(KnownDevice(n, code, 0))
    for code in "ABC":
        device = gateway.device(code)
        assert device is not None
        assert order[device.id] == code
    assert gateway.entries == 3
    for count, code in ((2, "B"), (2, "B"), (1, "A"), (0, "C")):
        gateway.forget(code)
        assert gateway.device(code) is None
        assert gateway.entries == count


def test_a_gateways_only_device_is_forgotten_by_its_own_code_alone() -> None:
    gateway = KnownGateway(1, tenant(0), active=True, auto_devices=True)
    gateway.remember(KnownDevice(1, "A", 0))
    gateway.forget("B")
    assert gateway.device("A") is not None
    gateway.forget("A")
    assert gateway.entries == 0


def bytes_of(make: Callable[[], object]) -> int:
    gc.collect()
    tracemalloc.start()
    try:
        made = make()
        gc.collect()
        return tracemalloc.get_traced_memory()[0] if made else 0
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("metrics", [1, 5])
def test_a_gateway_with_one_device_costs_300_bytes(metrics: int) -> None:
    count = 20_000

    def fleet() -> dict[str, KnownGateway]:
        of = tenant(metrics)
        gateways = {}
        for n in range(count):
            gateway = KnownGateway(1_000_000 + n, of, active=True, auto_devices=True)
            gateway.remember(KnownDevice(2_000_000 + n, "D01", of.metrics(range(1_000_000, 1_000_000 + metrics))))
            gateways[f"GW-{n:07d}"] = gateway
        return gateways

    assert bytes_of(fleet) / count < 300


def test_a_gateway_of_256_devices_with_500_metrics_each_of_1000_costs_half_a_megabyte() -> None:
    def largest() -> KnownGateway:
        of = tenant(1_000)
        gateway = KnownGateway(1_000_000, of, active=True, auto_devices=True)
        for n in range(256):
            sent = of.metrics(1_000_000 + (n * 2 + m) % 1_000 for m in range(500))
            gateway.remember(KnownDevice(2_000_000 + n, f"device-{n}", sent))
        return gateway

    assert bytes_of(largest) < 500_000


@pytest.mark.parametrize("metrics", [100, 499, 999, 5_000])
def test_a_device_that_sends_the_last_metric_of_a_large_tenant_costs_at_most_360_bytes_an_entry(metrics: int) -> None:
    of = tenant(metrics)
    gateways: list[KnownGateway] = []

    def fleet() -> list[KnownGateway]:
        for n in range(20):
            gateway = KnownGateway(1_000_000 + n, of, active=True, auto_devices=True)
            for m in range(256):
                # No two after each other send the same, or they would share it.
                sent = of.metrics((1_000_000 + m % 90, 1_000_000 + metrics - 1))
                gateway.remember(KnownDevice(2_000_000 + m, f"{n}-{m}".ljust(64, "x"), sent))
            gateways.append(gateway)
        return gateways

    assert bytes_of(fleet) / sum(gateway.entries for gateway in gateways) < 360


@pytest.mark.parametrize(
    ("character", "width"),
    [("x", 64), ("x", 44), ("é", 32), ("😀", 64)],
    ids=["long", "just one entry", "Latin-1", "4 bytes a character"],
)
@pytest.mark.parametrize("metrics", [1, 20, 5_000])
def test_an_entry_costs_at_most_360_bytes_whatever_names_and_forms_there_are(
    metrics: int, character: str, width: int
) -> None:
    made: list[KnownTenant] = []
    form_readings = min(metrics, known.MAX_FORM_READINGS)

    def pair(number: int, n: int) -> Pair:
        return f"{number}-{n}".ljust(width, character), f"{number}-{n}".ljust(16, character)

    def worst() -> list[KnownTenant]:
        for number in range(max(1, 2_000 // metrics)):
            of = KnownTenant(number)
            for n in range(metrics):
                of.name(1_000_000 + n, pair(number, n))
            device = of.metrics(range(1_000_000, 1_000_000 + metrics))
            for n in range((known.FORM_PAIRS + known.FORM_PAIRS_A_METRIC * metrics) // form_readings):
                sent = tuple(pair(number, (n + m) % metrics) for m in range(form_readings))
                assert of.metric_ids(device, sent) is not None
            made.append(of)
        return made

    def cost() -> float:
        made.clear()
        return bytes_of(worst) / sum(of.entries for of in made)

    # Python's own table of shared texts grows in large steps: in one of these at most.
    assert any(cost() < 360 for _ in range(3))
