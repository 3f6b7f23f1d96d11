"""`tds status`: what works, what does not and what to do."""

import json

import typer


def status(*, as_json: bool) -> None:
    from tds.settings import ENV
    from tds.status import State, as_document, examine, healthy

    parts = examine(ENV)
    if as_json:
        typer.echo(json.dumps(as_document(parts), ensure_ascii=False))
    else:
        marks = {State.HEALTHY: "ok ", State.WARNING: "!! ", State.UNHEALTHY: "NOT", State.OFF: "off"}
        width = max(len(part.name) for part in parts)
        for part in parts:
            action = f" → {part.action}" if part.state in {State.UNHEALTHY, State.WARNING} and part.action else ""
            typer.echo(f"{marks[part.state]}  {part.name:<{width}}  {part.detail}{action}")
    raise typer.Exit(0 if healthy(parts) else 1)
