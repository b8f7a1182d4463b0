"""A collector: takes traces over OTLP/HTTP and writes each span it was sent as a line of JSON.

``python receiver.py FILE`` prints its port. While there is FILE.refuse, requests are answered with the status in it.
"""

import gzip
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


def _value(any_value: Any) -> Any:
    return getattr(any_value, any_value.WhichOneof("value"))


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


class Receiver(BaseHTTPRequestHandler):
    """One request."""

    file: Path

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        refuse = self.file.with_suffix(".refuse")
        if refuse.exists():
            self._answer(int(refuse.read_text()), b"")
            return
        request = ExportTraceServiceRequest.FromString(body)
        with self.file.open("a") as file:
            for group in request.resource_spans:
                for scope in group.scope_spans:
                    for span in scope.spans:
                        said = {
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
        self._answer(200, ExportTraceServiceResponse().SerializeToString())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


if __name__ == "__main__":
    Receiver.file = Path(sys.argv[1])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    print(server.server_port, flush=True)
    server.serve_forever()
