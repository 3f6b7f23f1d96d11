"""What the server believed against what really ran. Pure."""

from collections.abc import Iterator, Mapping
from typing import Final

from tds.rehearsal.facts import Belief, Runs, Truth
from tds.updates.executions.statuses import Status

SHOWN_CHARS: Final = 12  # of a hash


def differences(
    truths: Mapping[str, Truth], beliefs: Mapping[str, Belief], target: str, names: Mapping[str, str]
) -> dict[str, tuple[str, ...]]:
    """By device, as sentences; only of those that have some. `names` of images, by their hash."""
    found = {}
    for code in sorted(truths.keys() | beliefs.keys()):
        sentences = tuple(_of_one(truths.get(code), beliefs.get(code), target, names))
        if sentences:
            found[code] = sentences
    return found


def _of_one(truth: Truth | None, belief: Belief | None, target: str, names: Mapping[str, str]) -> Iterator[str]:
    if truth is None or truth.runs is None:
        yield "It runs nothing."
        return
    if belief is None or belief.runs is None:
        yield f"It runs {_named(truth.runs, names)}, and the server knows of nothing."
        return
    runs, believed = truth.runs, belief.runs
    if runs != believed:
        yield f"It runs {_named(runs, names)}, and the server believes {_named(believed, names)}."
    has_it = runs.sha256 == target and runs.confirmed
    if belief.status is Status.SUCCEEDED and not has_it:
        yield f"The server says SUCCEEDED, and it runs {_named(runs, names)}."
    if belief.status not in (Status.SUCCEEDED, None) and has_it:
        yield f"It runs the release, confirmed, and the server says {belief.status} {belief.reason}".rstrip() + "."
    if belief.status is Status.IN_PROGRESS:
        yield f"The server says that it is still at it ({belief.phase})."


def _named(runs: Runs, names: Mapping[str, str]) -> str:
    image = names.get(runs.sha256) or (f"an image {runs.sha256[:SHOWN_CHARS]}…" if runs.sha256 else "no whole image")
    return f"{image} in slot {runs.slot}{'' if runs.confirmed else ', not confirmed'}"
