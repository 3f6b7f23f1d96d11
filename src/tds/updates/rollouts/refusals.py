"""What a person asked for and can't have, as a sentence that says what to do."""


class RolloutRefusedError(Exception):
    """The text is for the person who asked."""
