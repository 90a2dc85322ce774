"""A web server on a loopback address."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Respond = Callable[[BaseHTTPRequestHandler], None]


class PhotoServer:
    """Serves the bytes that a test gives it, or lets a test's function answer."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str]]] = []
        self._handlers: dict[str, Respond] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests.append((self.path, dict(self.headers)))
                respond = outer._handlers.get(self.path.partition("?")[0])
                if respond:
                    respond(self)
                else:
                    self.send_error(404)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def serve(self, path: str, body: bytes) -> str:
        """Answer the path with the bytes. Return its URL."""

        def respond(request: BaseHTTPRequestHandler) -> None:
            request.send_response(200)
            request.send_header("Content-Length", str(len(body)))
            request.end_headers()
            request.wfile.write(body)

        return self.set_handler(path, respond)

    def set_handler(self, path: str, respond: Respond) -> str:
        """Let the function answer the path. Return its URL."""
        self._handlers[path] = respond
        return self.url(path)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
