"""A collector of traces for tests: a process of its own that speaks OTLP over HTTP, and keeps every span it is sent."""

import gzip
import json
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class Collector:
    """A running collector. It ends with :meth:`close`."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "spans"
        self._refuse = folder / "spans.refuse"
        command = [sys.executable, "-m", __name__, str(self._file)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline() if self._process.stdout else 0)}"

    def refuse(self, status: int) -> None:
        """Answer with this status from now on; 0: take what comes."""
        if status:
            self._refuse.write_text(str(status))
        else:
            self._refuse.unlink()

    def spans(self) -> list[dict[str, Any]]:
        """What it was sent and took."""
        text = self._file.read_text() if self._file.exists() else ""
        # The last line may just be written.
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait(10)
        if self._process.stdout is not None:
            self._process.stdout.close()


def _value(any_value: Any) -> Any:
    return getattr(any_value, any_value.WhichOneof("value"))


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


class _Receiver(BaseHTTPRequestHandler):
    """One request."""

    file: Path

    def do_POST(self) -> None:
        """Traces."""
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        refuse = self.file.with_suffix(".refuse")
        if refuse.exists():
            self._answer(int(refuse.read_text()), b"")
            return
        # The classes of the protocol itself, which the server under test does not use.
        from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as protocol

        request: Any = protocol.ExportTraceServiceRequest.FromString(body)
        with self.file.open("a") as file:
            for group in request.resource_spans:
                for scope in group.scope_spans:
                    for span in scope.spans:
                        said: dict[str, Any] = {
                            "path": self.path,
                            "resource": _attributes(group.resource.attributes),
                            "trace": span.trace_id.hex(),
                            "id": span.span_id.hex(),
                            "parent": span.parent_span_id.hex(),
                            "name": span.name,
                            "start": span.start_time_unix_nano / 1e9,
                            "end": span.end_time_unix_nano / 1e9,
                            "error": span.status.message if span.status.code == 2 else None,
                            "attributes": _attributes(span.attributes),
                            "links": [[link.trace_id.hex(), link.span_id.hex()] for link in span.links],
                        }
                        file.write(json.dumps(said) + "\n")
        self._answer(200, protocol.ExportTraceServiceResponse().SerializeToString())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


def main() -> None:
    """Listen on a free port, and print it."""
    _Receiver.file = Path(sys.argv[1])
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Receiver)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
