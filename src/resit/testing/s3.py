"""A server that speaks S3, for tests: moto's, a process of its own on a loopback port, gone when its owner is gone."""

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
import xml.etree.ElementTree as ET
from types import TracebackType

START_SECONDS = 60.0
BUCKET = "resit-tests"
REGION = "us-east-1"
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


class S3Failed(Exception):
    """No server; the message says why."""


class S3Server:
    """A running server. What it stores is in its memory: when it is killed, all is lost."""

    def __init__(self) -> None:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = int(found.getsockname()[1])
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "S3Server":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def url(self, prefix: str = "", bucket: str = BUCKET) -> str:
        """An address of artifacts on it."""
        return f"s3://{bucket}/{prefix}?endpoint={self.endpoint}&region={REGION}"

    @property
    def environment(self) -> dict[str, str]:
        """Credentials, where nobody asks for better ones."""
        return {"AWS_ACCESS_KEY_ID": "somebody", "AWS_SECRET_ACCESS_KEY": "something"}

    def start(self) -> None:
        """Start it and make the bucket, on the port that it had. Raises :class:`S3Failed`."""
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        self._process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - one call of the kernel, no lock
        )
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self._call("GET", "/moto-api/data.json")
            except OSError:
                if self._process.poll() is not None:
                    raise S3Failed("moto's server ended at once: are moto, flask and flask-cors installed?") from None
                if time.monotonic() > deadline:
                    raise S3Failed(f"no server that speaks S3 after {START_SECONDS} s") from None
                time.sleep(0.05)
            else:
                break
        self._call("PUT", f"/{BUCKET}")

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """It takes connections and answers nothing."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """After :meth:`pause`."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        if self._process is None:
            raise S3Failed("the server does not run")
        self._process.send_signal(number)

    def forget(self) -> None:
        """An empty bucket again, that anybody may use."""
        self._call("POST", "/moto-api/reset")
        self._call("PUT", f"/{BUCKET}")

    def lock(self) -> dict[str, str]:
        """Let only one person in from now on, whose credentials these are; :meth:`forget` ends it."""
        self._iam(Action="CreateUser", UserName="resit")
        made = ET.fromstring(self._iam(Action="CreateAccessKey", UserName="resit"))  # noqa: S314 - our own server's
        allowed = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
        self._iam(Action="PutUserPolicy", UserName="resit", PolicyName="all", PolicyDocument=json.dumps(allowed))
        self._call("POST", "/moto-api/reset-auth", b"0", {"Content-Type": "text/plain"})
        found = {element.tag.rpartition("}")[2]: element.text or "" for element in made.iter()}
        return {"AWS_ACCESS_KEY_ID": found["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": found["SecretAccessKey"]}

    def unlock(self) -> None:
        """Let everybody in again."""
        self._call("POST", "/moto-api/reset-auth", b"Infinity", {"Content-Type": "text/plain"})

    def stored(self) -> list[str]:
        """What is stored."""
        return self._listed("list-type=2", "Contents")

    def uploads(self) -> list[str]:
        """The large uploads that were begun and neither ended nor taken back."""
        return self._listed("uploads", "Upload")

    def _listed(self, query: str, tag: str) -> list[str]:
        tree = ET.fromstring(self._call("GET", f"/{BUCKET}?{query}"))  # noqa: S314 - our own server's
        found = [element for element in tree.iter() if element.tag.rpartition("}")[2] == tag]
        return [str(part.text) for element in found for part in element if part.tag.rpartition("}")[2] == "Key"]

    def _iam(self, **words: str) -> bytes:
        body = urllib.parse.urlencode({"Version": "2010-05-08", **words}).encode()
        scope = (
            "AWS4-HMAC-SHA256 Credential=somebody/20260101/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=0"
        )
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": scope}
        return self._call("POST", "/", body, headers)

    def _call(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> bytes:
        request = urllib.request.Request(  # noqa: S310 - our own server
            self.endpoint + path, data=body, method=method, headers=headers or {}
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=30) as answer:
            return answer.read()


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() == 1:
        os._exit(1)
