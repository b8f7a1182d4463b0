"""A zip file that is written while it is sent, without a copy on disk or in memory."""

import io
import zipfile
from collections.abc import Iterable, Iterator

from resit.domain.errors import NotFound
from resit.ports import Artifacts

PIECE = 256 * 1024
BEGAN = (1980, 1, 1, 0, 0, 0)
"""The time of all files: zips begin to count there, and the same content gives the same file."""


class _Pipe(io.RawIOBase):
    """Takes what the zip writes, until somebody takes it away. It can't be moved back and forth in."""

    def __init__(self) -> None:
        super().__init__()
        self._held: list[bytes] = []
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: "bytes | bytearray | memoryview") -> int:  # type: ignore[override]
        self._held.append(bytes(data))
        self.size += len(self._held[-1])
        return len(self._held[-1])

    def take(self) -> bytes:
        """What was written since the last time."""
        found = b"".join(self._held)
        self._held.clear()
        self.size = 0
        return found


class Zip:
    """Each method gives the bytes that are ready; :meth:`end` comes last."""

    def __init__(self) -> None:
        self._pipe = _Pipe()
        self._zip = zipfile.ZipFile(self._pipe, "w")

    def add(self, name: str, pieces: Iterable[bytes], *, packed: bool = False) -> Iterator[bytes]:
        """Add a file of any size. ``packed``: compress it; what is compressed already need not be."""
        info = zipfile.ZipInfo(name, BEGAN)
        info.compress_type = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
        with self._zip.open(info, "w", force_zip64=True) as file:
            for piece in pieces:
                file.write(piece)
                if self._pipe.size >= PIECE:
                    yield self._pipe.take()
        yield self._pipe.take()

    def end(self) -> Iterator[bytes]:
        """The table of contents."""
        self._zip.close()
        yield self._pipe.take()


def pieces(artifacts: Artifacts, key: str) -> Iterator[bytes]:
    """The content of a stored file; nothing when it is not there any more."""
    try:
        reader = artifacts.reader(key)
    except NotFound:
        return
    with reader:
        while piece := reader.read(PIECE):
            yield piece
