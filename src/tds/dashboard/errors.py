"""What the API says when it says no."""


class ApiError(Exception):
    """A status, a word for scripts and a sentence for people."""

    def __init__(self, status: int, word: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.word = word
        self.sentence = sentence
