class FleetRefusedError(Exception):
    """It can't run; the text is a sentence that says what to do."""
