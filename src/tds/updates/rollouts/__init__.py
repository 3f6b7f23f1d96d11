"""A release on its way to gateways. Where to look:

- `target.py`, `eligibility.py`, `waves.py`, `windows.py`, `limits.py`, `rules.py`, `gate.py`: rules, each a function of
  its arguments; `words.py`: what they say to people.
- `asker.py`: who may what; `plan.py`: a look before; `desk.py`, `gateway_desk.py`: what people do; `roster.py` and
  `snapshot.py`: who is in, and how that is written down.
- `conductor.py`: the worker's lane, with `running.py` (the rows), `counts.py` (kept by counts.sql), `offering.py`
  with `sides.py` (one of a site at a time), `watching.py` (the telemetry gate), `known_bad.py` and `withdrawn.py`.
- `rollout_commands.py`, `showing.py`: `tds rollout`.
"""
