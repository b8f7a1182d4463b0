"""Where artifacts are kept, by an address.

Credentials of object stores come from where each provider's own tools take them: environment variables, or the role of
the machine. They are never part of the address.
"""

import logging
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from resit.domain.errors import InvalidInput
from resit.integrations.files import FolderArtifacts
from resit.integrations.objects import ObjectArtifacts, Patience
from resit.ports import Artifacts

if TYPE_CHECKING:
    from resit.integrations.objects import Objects

log = logging.getLogger(__name__)
OPTIONS = {
    "s3": {"region": "region", "endpoint": "endpoint", "virtual_hosted": "virtual_hosted_style_request"},
    "gs": {"endpoint": "base_url"},
    "az": {"account": "account_name", "endpoint": "endpoint"},
}
"""What may stand behind ``?`` in an address, and what the library calls it."""
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}")


def open_artifacts(url: str, folder: Path) -> Artifacts:
    """The store at an address: ``s3://``, ``gs://``, ``az://``, ``file://``, a path; ``folder`` when it is empty.

    Nothing is asked of the store yet. Raises :class:`InvalidInput` for an address that is none.
    """
    if not url:
        return FolderArtifacts(folder)
    if url.startswith("/"):
        return FolderArtifacts(Path(url))
    parts = urlsplit(url)
    if parts.scheme == "file" and not parts.netloc and parts.path.startswith("/"):
        return FolderArtifacts(Path(unquote(parts.path)))
    if parts.username is not None or parts.password is not None:
        raise InvalidInput(
            "the address of the artifacts holds a name or a password: give them in environment variables "
            "(docs/howto/object-storage.md)",
            field="artifacts_url",
        )
    known = OPTIONS.get(parts.scheme)
    if known is None or not _BUCKET.fullmatch(parts.netloc):
        raise InvalidInput(
            f"{_public(url)!r} is no place for artifacts: s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, "
            "az://CONTAINER/PREFIX, file:///FOLDER or an absolute path",
            field="artifacts_url",
        )
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if odd := sorted(options.keys() - known.keys()):
        words = f"the address of the artifacts has an option {odd[0]!r}: there are {', '.join(known)}"
        raise InvalidInput(words, field="artifacts_url")
    config = {known[name]: value for name, value in options.items()}
    prefix = unquote(parts.path).strip("/")
    return ObjectArtifacts(f"{parts.scheme}://{parts.netloc}", _maker(parts.scheme, parts.netloc, prefix, config))


def _public(url: str) -> str:
    return url.partition("?")[0][:200]


def _maker(scheme: str, bucket: str, prefix: str, config: Mapping[str, str]) -> Callable[[Patience], "Objects"]:
    def make(patience: Patience) -> "Objects":
        # Loading the library takes a moment, and most servers keep their files in a folder.
        from obstore.exceptions import BaseError
        from obstore.store import AzureStore, GCSStore, S3Store

        more: dict[str, Any] = dict(config)
        if scheme == "s3":
            virtual = str(more.get("virtual_hosted_style_request", "")).lower()
            more["virtual_hosted_style_request"] = virtual in ("1", "true", "yes")
        kind = {"s3": S3Store, "gs": GCSStore, "az": AzureStore}[scheme]
        try:
            return kind(
                bucket,
                prefix=prefix or None,
                client_options={
                    "allow_http": str(config.get("endpoint", "")).startswith("http://"),
                    "connect_timeout": "5s",
                    "timeout": timedelta(seconds=patience.whole),
                    "read_timeout": timedelta(seconds=patience.silence),
                    "user_agent": "Resit",
                },
                retry_config={
                    "max_retries": patience.retries,
                    "retry_timeout": timedelta(seconds=patience.within),
                    "backoff": {
                        "init_backoff": timedelta(milliseconds=100),
                        "max_backoff": timedelta(seconds=5),
                        "base": 2,
                    },
                },
                **more,
            )
        except (BaseError, ValueError, OSError) as error:
            log.debug("no store at %s://%s: %r", scheme, bucket, error)
            raise InvalidInput(
                f"{scheme}://{bucket} can't be used: {str(error).splitlines()[0][:200]}", field="artifacts_url"
            ) from error

    return make
