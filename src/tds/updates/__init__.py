"""Firmware updates (docs/firmware-updates.md). Where to look:

- `signed/`: the documents that are signed, as values and as JWS; keys. Pure, but for key files.
- `releases/`: images, their preflight, the files by hash, trust sets, what is published.
- `rollouts/`: who is in, waves, when they go on and when they halt; the rules are pure, `conductor.py` applies them.
- `executions/`: one gateway's way through one release: statuses, the transition table, reports, tickets, delivery.
"""
