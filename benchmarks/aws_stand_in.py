"""Stands in for S3 and DynamoDB in the benchmark of batches: every object is one photo, and no row exists yet.

    python -m benchmarks.aws_stand_in PORT PHOTO

moto takes as much processor time for each photo as the function does. AWS takes none of the function's, but time: this
answers after as long as AWS does within a region, and computes next to nothing.
"""

import hashlib
import json
import sys
import time
from binascii import crc32
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer

S3_SECONDS, DYNAMODB_SECONDS = 0.020, 0.005  # until an answer begins


class _Server(ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, port: int, photo: bytes) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        etag = hashlib.md5(photo, usedforsecurity=False).hexdigest()
        modified = "Sat, 31 Jan 2026 12:00:00 GMT"
        self.object = _response(photo, {"ETag": f'"{etag}"', "Last-Modified": modified})
        self.no_row = _dynamodb_response({"ConsumedCapacity": {"TableName": "table", "CapacityUnits": 1.0}})
        self.written = _dynamodb_response({})


class _Handler(StreamRequestHandler):
    disable_nagle_algorithm = True
    server: _Server

    def handle(self) -> None:
        """Answer GetObject, GetItem and PutItem until the client closes the connection."""
        while line := self.rfile.readline():
            headers = {}
            while header := self.rfile.readline().strip():
                name, _, value = header.partition(b": ")
                headers[name.lower()] = value
            self.rfile.read(int(headers.get(b"content-length", 0)))
            if line.startswith(b"GET "):
                time.sleep(S3_SECONDS)
                self.connection.sendall(self.server.object)
            else:
                time.sleep(DYNAMODB_SECONDS)
                is_get = headers[b"x-amz-target"].endswith(b".GetItem")
                self.connection.sendall(self.server.no_row if is_get else self.server.written)


def _response(body: bytes, headers: dict[str, str]) -> bytes:
    lines = [f"{name}: {value}\r\n" for name, value in {**headers, "Content-Length": len(body)}.items()]
    return f"HTTP/1.1 200 OK\r\n{''.join(lines)}\r\n".encode() + body


def _dynamodb_response(answer: dict[str, object]) -> bytes:
    body = json.dumps(answer).encode()
    return _response(body, {"x-amz-crc32": str(crc32(body)), "Content-Type": "application/x-amz-json-1.0"})


if __name__ == "__main__":
    _Server(int(sys.argv[1]), Path(sys.argv[2]).read_bytes()).serve_forever()
