"""Sending stored files: always as a download, because what users and their tests wrote must not run on our origin."""

import re
from pathlib import Path

from fastapi.responses import FileResponse

_CONTENT_TYPE = re.compile(r"[\w.+-]{1,100}/[\w.+-]{1,100}(; ?[\w.+-]{1,40}=[\w.+-]{1,100})?", re.ASCII)


def download(path: Path, name: str, content_type: str = "") -> FileResponse:
    """The file at ``path`` under a name; a content type that is none becomes bytes."""
    safe = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox; default-src 'none'"}
    kind = content_type if _CONTENT_TYPE.fullmatch(content_type) else "application/octet-stream"
    return FileResponse(path, media_type=kind, filename=name, headers=safe)
