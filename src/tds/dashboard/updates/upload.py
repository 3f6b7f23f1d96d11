"""An image comes in by the page: bounded while it comes, and on disk and not in memory."""

import contextlib
import tempfile
from collections.abc import Iterator
from typing import Any, Final

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import StopUpload, TemporaryFileUploadHandler
from django.http import HttpRequest

from tds.updates.releases.chips import MAX_IMAGE_BYTES
from tds.updates.releases.files import StoreError

FORM_BYTES: Final = 65_536  # of a request beside its image: the manifest, the notes, and what divides the parts


class BoundedUploadHandler(TemporaryFileUploadHandler):
    """Reads no further than a form with an image may be long; the view then finds `too_large` set.

    What comes before the image, the form's token among it, is read in any case: without it the request is refused as
    one of another site.
    """

    def __init__(self, request: HttpRequest) -> None:
        super().__init__(request)
        self.received = 0
        self.too_large = False
        self.no_room: StoreError | None = None  # the disk did not take what came

    def handle_raw_input(self, input_data: Any, META: Any, content_length: int, *args: Any, **more: Any) -> None:  # noqa: N803  # Django's own name
        self.too_large = content_length > MAX_IMAGE_BYTES + FORM_BYTES
        super().handle_raw_input(input_data, META, content_length, *args, **more)

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes | None:
        self.received += len(raw_data)
        self.too_large |= self.received > MAX_IMAGE_BYTES + FORM_BYTES
        if self.too_large:
            raise StopUpload(connection_reset=True)
        with self._writing():
            return super().receive_data_chunk(raw_data, start)

    def new_file(self, *args: Any, **more: Any) -> None:
        with self._writing():
            super().new_file(*args, **more)

    def file_complete(self, file_size: int) -> "UploadedFile[Any] | None":
        with self._writing():
            return super().file_complete(file_size)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.no_room = StoreError.of(settings.FILE_UPLOAD_TEMP_DIR or tempfile.gettempdir(), error)
            raise StopUpload(connection_reset=True) from error
