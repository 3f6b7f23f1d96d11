class RehearsalRefusedError(Exception):
    """It can't be held; the text is a sentence that says what to do."""


class RehearsalFailedError(Exception):
    """It could not go on: a fault of the machine or of ours, not of the release. The text says what was said."""
