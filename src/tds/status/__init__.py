"""What works and what does not, from live facts: a message is really published, stored and read again.

Each kind of part has a module: `storage`, `brokers`, `processes`, `servers`, `gateways`, `certificates`, `quarantine`,
`updates`.
`looking` looks at them all, and `part` is what each of them says.
"""

from tds.status.looking import Look, examine, look
from tds.status.part import Part, State, as_document, healthy

__all__ = ["Look", "Part", "State", "as_document", "examine", "healthy", "look"]
