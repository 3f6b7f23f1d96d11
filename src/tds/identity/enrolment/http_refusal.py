"""A request on :8070 that is not done: which status, and the sentence that a person reads in the device's log."""

from http import HTTPStatus


class RefusedError(Exception):
    """`retry_after_s`: whether waiting could help, and how long (RFC 9110, 10.2.3).

    `clients_fault` False: the same request would have been taken at another moment, so it counts against nobody.
    """

    def __init__(
        self, status: HTTPStatus, sentence: str, *, retry_after_s: float | None = None, clients_fault: bool = True
    ) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.retry_after_s = retry_after_s
        self.clients_fault = clients_fault
