"""One gateway's way through one release. Where to look:

- `statuses.py`: the words; `transitions.py`: the one table that says what changes what, and the deadlines.
- `orders.py`, `reports.py`, `facts.py`: what a gateway's report says, and which facts that are of an execution. Pure.
- `keeper.py`: reports into the database, and deadlines; `deeds.py`: what a person, a rule or a retirement does.
- `numbers.py`, `tickets.py`, `delivery.py`, `pushing.py`: the signed command, and its three ways to a gateway.
"""
