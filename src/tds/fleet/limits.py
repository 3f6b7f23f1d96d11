"""Bounds of the fleet, from the wire contract. At the limit a message is quarantined with the limit's reason."""

from typing import Final

MAX_CODE_CHARS: Final = 64
MAX_TIPO_CHARS: Final = 64
MAX_UNIDADE_CHARS: Final = 16
MAX_TAG_CHARS: Final = 32

MAX_DEVICES_A_GATEWAY: Final = 256
MAX_METRICS_A_DEVICE: Final = 500
MAX_METRICS_A_GATEWAY: Final = 1_000
MAX_METRICS_A_TENANT: Final = 5_000

# Given by people, who are refused with a sentence. A company's fit into one list of a form.
MAX_TAGS_A_GATEWAY: Final = 20
MAX_TAGS_A_TENANT: Final = 500

MAX_REGISTER: Final = 1e290  # of a counter: beyond it, differences of values are no numbers any more
