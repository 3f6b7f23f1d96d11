"""How often one source may try to enrol. What is counted is the source and never the code, so that somebody who guesses
at a gateway's code can't keep its owner, who is elsewhere, from using it.

Two buckets a try, for one reason: all devices of a mobile operator may come from one address. The small one is of
(source, gateway code), and is what a device with a wrong code empties for itself alone; the large one is of the source.
A claim code has 100 random bits: no rate that a network carries makes guessing hopeful. This keeps the noise bounded.
"""

from collections import OrderedDict
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Final

MAX_REMEMBERED: Final = 20_000  # buckets that are not full; beyond, the one untouched for longest is forgotten
IPV6_PREFIX_BITS: Final = 64  # what one household or host is given: counting single addresses would count nobody


@dataclass(frozen=True, slots=True)
class Bucket:
    """`tries` at once, and then one every `every_s`."""

    tries: int
    every_s: float


OF_A_CODE: Final = Bucket(10, 30.0)
OF_A_SOURCE: Final = Bucket(100, 2.0)


class Attempts:
    """Remembers tries that ended badly. Not for several threads: the server has one loop."""

    def __init__(
        self, of_a_code: Bucket = OF_A_CODE, of_a_source: Bucket = OF_A_SOURCE, max_remembered: int = MAX_REMEMBERED
    ) -> None:
        self._of_a_code, self._of_a_source = of_a_code, of_a_source
        self._max_remembered = max_remembered
        # The moment at which each will be full again (a generic cell rate, as in ITU-T I.371), least touched first.
        self._full_at: OrderedDict[tuple[str, str], float] = OrderedDict()
        self.forgotten = 0

    def take(self, source: str, code: str, now_s: float) -> float:
        """0.0: go on, and it is counted. Else the seconds after which a try is worth while; that costs nothing.

        Counted before anything is looked at: a hundred tries at the same moment must not all pass.
        """
        wanted = ((source, code), self._of_a_code), ((source, ""), self._of_a_source)
        if (wait := max(self._wait(key, bucket, now_s) for key, bucket in wanted)) > 0:
            return wait
        for key, bucket in wanted:
            self._full_at[key] = max(self._full_at.get(key, now_s), now_s) + bucket.every_s
            self._full_at.move_to_end(key)
        self._forget(now_s)
        return 0.0

    def give_back(self, source: str, code: str) -> None:
        """The try ended well, or its bad end was ours."""
        for key, bucket in ((source, code), self._of_a_code), ((source, ""), self._of_a_source):
            if key in self._full_at:
                self._full_at[key] -= bucket.every_s

    def __len__(self) -> int:
        return len(self._full_at)

    def _wait(self, key: tuple[str, str], bucket: Bucket, now_s: float) -> float:
        spent_s = self._full_at.get(key, now_s) - now_s
        return spent_s - (bucket.tries - 1) * bucket.every_s

    def _forget(self, now_s: float) -> None:
        while self._full_at:
            key, full_at = next(iter(self._full_at.items()))
            if full_at > now_s:
                if len(self._full_at) <= self._max_remembered:
                    return
                self.forgotten += 1
            del self._full_at[key]


def source_of(address: str) -> str:
    """Whom a TCP peer's address stands for: itself, or of IPv6 its network. Any text comes back as some text."""
    try:
        found = ip_address(address.partition("%")[0])  # without the interface of a link-local one
    except ValueError:
        return "unknown"
    if not isinstance(found, IPv6Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    host_bits = found.max_prefixlen - IPV6_PREFIX_BITS
    return f"{IPv6Address(int(found) >> host_bits << host_bits)}/{IPV6_PREFIX_BITS}"
