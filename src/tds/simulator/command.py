"""The command `tds simulate`: options in, one fleet run, a summary out."""

import json
import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Annotated, Final

import typer
from rich.console import Console

from tds.simulator import est
from tds.simulator.broker import Broker, BrokerError
from tds.simulator.config import (
    DEFAULT_BROKER,
    DEFAULT_DEVICES,
    DEFAULT_FAULT_RATE,
    DEFAULT_GATEWAYS,
    DEFAULT_INTERVAL_S,
    DEFAULT_PREFIX,
    DEFAULT_STEP,
    DEFAULT_TLS_BROKER,
    MAX_DEVICES,
    MAX_GATEWAYS,
    MIN_INTERVAL_S,
    FleetConfig,
    device_codes,
    gateway_codes,
)
from tds.simulator.credential import CA_FILE, CredentialError, gateways_in
from tds.simulator.faults import Fault
from tds.simulator.fleet import Fleet, Summary
from tds.simulator.message import CODE
from tds.simulator.span import span_ms
from tds.simulator.watching import Display, open_report

EXIT_UNACKNOWLEDGED: Final = 1
EXIT_NO_BROKER: Final = 2


def _span(text: str) -> int:
    try:
        return span_ms(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _broker(text: str) -> Broker:
    try:
        return Broker.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _server(text: str) -> est.Server:
    try:
        return est.Server.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _claim(text: str) -> tuple[str, str]:
    code, colon, secret = text.partition(":")
    if not (CODE.fullmatch(code) and colon and secret):
        raise typer.BadParameter("A claim is given as CODE:CLAIM, with the gateway's code and its claim code.")
    return code, secret


def _faults(text: str) -> frozenset[Fault]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = sorted(set(names) - set(Fault))
    if unknown:
        raise typer.BadParameter(f"{', '.join(unknown)}: choose from {', '.join(Fault)}, with commas between.")
    return frozenset(map(Fault, names))


def simulate(  # noqa: PLR0913 - a command's options are its arguments
    *,
    gateways: Annotated[
        int | None,
        typer.Option(
            "--gateways",
            "-g",
            min=1,
            max=MAX_GATEWAYS,
            help="How many gateways, one connection each. "
            f"[default: {DEFAULT_GATEWAYS}, or all that have a certificate in --box]",
            show_default=False,
        ),
    ] = None,
    gateway: Annotated[
        list[str] | None,
        typer.Option(
            "--gateway",
            metavar="CODE",
            help="Simulate the gateway of this code; repeat it. --gateways and --prefix are then not used.",
        ),
    ] = None,
    prefix: Annotated[
        str, typer.Option(metavar="PREFIX", help="Gateways are PREFIX-0001, PREFIX-0002, …")
    ] = DEFAULT_PREFIX,
    devices: Annotated[
        int, typer.Option("--devices", "-d", min=1, max=MAX_DEVICES, help="Devices a gateway: D01, D02, …")
    ] = DEFAULT_DEVICES,
    interval: Annotated[
        float,
        typer.Option(min=MIN_INTERVAL_S, metavar="SECONDS", help="A live message a device, every so many seconds."),
    ] = DEFAULT_INTERVAL_S,
    duration: Annotated[
        str | None,
        typer.Option(metavar="SPAN", help="How long to go on live: 90m, 36h, 30d … [default: until Ctrl-C]"),
    ] = None,
    history: Annotated[
        str,
        typer.Option(
            metavar="SPAN", help="First send this much of the past, as fast as the broker takes it: 0, 90m, 36h, 30d …"
        ),
    ] = "0",
    history_step: Annotated[
        str, typer.Option("--history-step", metavar="SPAN", help="A message a device of history, every so often.")
    ] = DEFAULT_STEP,
    history_only: Annotated[bool, typer.Option("--history-only", help="Stop when the history is sent.")] = False,
    seed: Annotated[
        int, typer.Option(help="The same seed and codes give the same readings, so a second run adds no copies.")
    ] = 1,
    broker: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL",
            help="mqtt://[user[:password]@]host[:port], or mqtts://host[:port] for gateways with certificates; "
            "repeat it to spread the gateways over several. In the user name, {gateway} stands for the gateway's code. "
            f"[default: {DEFAULT_BROKER}, with --box {DEFAULT_TLS_BROKER}]",
            show_default=False,
        ),
    ] = None,
    box: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            file_okay=False,
            help="A folder as `./tds provision` fills it: each gateway shows its own certificate, and renews it by EST "
            "when two thirds of its time are over.",
        ),
    ] = None,
    est_url: Annotated[
        str | None,
        typer.Option(
            "--est",
            metavar="URL",
            help="Who renews certificates: https://host[:port]. [default: port 8070 of the broker's host]",
            show_default=False,
        ),
    ] = None,
    renew: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CODE", help="This gateway of the box renews its certificate now, whatever its age; repeat it."
        ),
    ] = None,
    claim: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CODE:CLAIM",
            help=f"First have this gateway enrol by EST with a claim code, which is good for once; DIR/CODE/{CA_FILE} "
            "says whom to trust. Repeat it.",
        ),
    ] = None,
    faults: Annotated[
        str,
        typer.Option(
            metavar="LIST",
            help="What shall go wrong, with commas between: bad (broken payloads of every kind), "
            "duplicates (a message twice), late (readings from hours ago), reconnects (the connection is cut), "
            "moves (it is cut, and the gateway goes to the next --broker).",
        ),
    ] = "",
    fault_rate: Annotated[
        float,
        typer.Option(
            "--fault-rate",
            min=0.0,
            max=1.0,
            metavar="SHARE",
            help="How often each of --faults strikes, of all messages.",
        ),
    ] = DEFAULT_FAULT_RATE,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            dir_okay=False,
            help="A JSON line (gateway_code, device_code, timestamp) for each acknowledged message that is not broken.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as one JSON object.")] = False,
) -> None:
    """Play a fleet of gateways: readings over MQTT, as real ones send them.

    Temperature, humidity, energy (a counter) and voltage of every device. A gateway keeps what the broker has not
    acknowledged and sends it again, and after each reconnect also what was acknowledged in the last 90 s.

    Ends with 0 when all was acknowledged, 1 when something was not or was dropped, 2 when the broker or the box can't
    be used.
    """
    errors = Console(stderr=True)
    spans = {
        "history": _span(history),
        "step": _span(history_step),
        "live": None if duration is None else _span(duration),
    }
    first, *more = map(_broker, broker or [DEFAULT_BROKER if box is None else DEFAULT_TLS_BROKER])
    server = None if box is None else _server(est_url or first.est_url)
    with _ending_with_a_sentence(errors):
        _enrol(box, server, [_claim(text) for text in claim or ()])
        codes = tuple(gateway) if gateway else _codes(box, gateways, prefix)
    try:
        config = FleetConfig(
            gateways=codes,
            devices=device_codes(devices),
            broker=first,
            more_brokers=tuple(more),
            box=box,
            est=server,
            renew_now=frozenset(renew or ()),
            interval_ms=round(interval * 1000),
            history_ms=spans["history"] or 0,
            history_step_ms=spans["step"] or 0,
            live_ms=0 if history_only else spans["live"],
            seed=seed,
            faults=_faults(faults),
            fault_rate=fault_rate,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    with _ending_with_a_sentence(errors):
        summary = _run(config, errors, report)
    typer.echo(json.dumps(asdict(summary)) if as_json else in_words(summary))
    if summary.unacknowledged or summary.dropped:
        raise typer.Exit(EXIT_UNACKNOWLEDGED)


@contextmanager
def _ending_with_a_sentence(errors: Console) -> Iterator[None]:
    try:
        yield
    except (BrokerError, CredentialError, OSError) as error:
        errors.print(str(error), style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(EXIT_NO_BROKER) from error


def _codes(box: Path | None, wanted: int | None, prefix: str) -> tuple[str, ...]:
    if box is None:
        return gateway_codes(prefix, wanted or DEFAULT_GATEWAYS)
    found = gateways_in(box)
    if wanted is None and len(found) > MAX_GATEWAYS:
        raise typer.BadParameter(
            f"The box has {len(found):,} gateways, and one process simulates {MAX_GATEWAYS}: "
            f"say which with --gateway, or how many with --gateways."
        )
    return found[:wanted]


def _enrol(box: Path | None, server: est.Server | None, claims: Sequence[tuple[str, str]]) -> None:
    if claims and (box is None or server is None):
        raise typer.BadParameter("A claim needs the box that the certificate goes into: --box DIR.")
    for code, secret in claims:
        if box is not None and server is not None:
            try:
                est.claim(server, code, secret, box / code)
            except est.EnrolmentError as error:
                raise CredentialError(f"{code} is not enrolled: {error}.") from error


def in_words(summary: Summary) -> str:
    lines = [
        f"{summary.gateways} gateways, {summary.devices} devices, {summary.seconds:.1f} s",
        f"  sent          {summary.sent:>12,} messages",
        f"  acknowledged  {summary.acknowledged:>12,}",
        f"  refused       {summary.refused:>12,}",
        f"  resent        {summary.resent:>12,}",
        f"  dropped       {summary.dropped:>12,}",
    ]
    if summary.renewed:
        lines.append(f"  renewed       {summary.renewed:>12,} certificates")
    if summary.never_connected:
        lines.append(f"  out of reach  {summary.never_connected:>12,} gateways that the broker never took in")
    if summary.unacknowledged:
        lines.append(
            f"  given up      {summary.unacknowledged:>12,} that nobody acknowledged; is a consumer subscribed?"
        )
    return "\n".join(lines)


def _run(config: FleetConfig, errors: Console, report: Path | None) -> Summary:
    with ExitStack() as stack:
        stop = stack.enter_context(_stopped_by_signals())
        file = stack.enter_context(open_report(report)) if report is not None else None
        display = stack.enter_context(Display(errors, file))
        return Fleet(config, display).run(stop)


@contextmanager
def _stopped_by_signals() -> Iterator[Event]:
    """The first SIGINT or SIGTERM asks for a clean end; a second one ends at once."""
    stop = Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def on_signal(number: int, _frame: FrameType | None) -> None:
        stop.set()
        signal.signal(number, signal.SIG_DFL)

    for number in before:
        signal.signal(number, on_signal)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
