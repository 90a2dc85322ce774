"""The part of API Gateway: converts HTTP requests to events and answers back. Also Lambda's Invoke endpoint."""

import base64
import json
import re
import time
import uuid
from http import HTTPStatus
from typing import Any

from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

from local.function import FunctionError, Invocable
from local.lambda_log import print_line
from local.template import paths_without_key, resource_properties

_INVOCATIONS = re.compile(r"/2015-03-31/functions/[^/]+/invocations")
_MALFORMED = json.dumps(
    {"error": {"code": "invalid_request", "message": "The request is malformed."}, "request_id": "local"}
)
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}  # as in the template's gateway responses
_LARGEST_PAYLOAD = 6 * 1024 * 1024  # bytes of an event; Lambda's limit for synchronous invocations


def make_gateway(
    function: Invocable, host: str, port: int, log: str, *, throttles_clients: bool = False
) -> BaseWSGIServer:
    """Return a server that listens but does not serve yet. Raise `OSError` if the port is in use.

    Each request is logged if `log` is "json". `throttles_clients` refuses the requests that need an API key.
    """

    @Request.application
    def application(request: Request) -> Response:
        try:
            if request.method == "POST" and _INVOCATIONS.fullmatch(request.path):
                return _invoke(request, function)
            if throttles_clients and request.path not in paths_without_key():
                return _gateway_error("THROTTLED", HTTPStatus.TOO_MANY_REQUESTS, proxy_event(request))
            return _request(request, function)
        except (HTTPException, OSError):  # the connection broke, or the body was malformed
            return Response(_MALFORMED, HTTPStatus.BAD_REQUEST, _HEADERS, content_type="application/json")

    return make_server(host, port, application, threaded=True, request_handler=_JsonLog if log == "json" else _NoLog)


class _NoLog(WSGIRequestHandler):
    """Keeps connections open. Logs nothing: a page that polls would drown the lines of the photos."""

    protocol_version = "HTTP/1.1"
    # What the base class answers to requests that are not HTTP.
    error_content_type = "application/json"
    error_message_format = _MALFORMED
    _is_error = False

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer a request that is not HTTP."""
        self._is_error = True
        super().send_error(code, message, explain)

    def end_headers(self) -> None:
        """Add the headers that all errors have."""
        for name, value in _HEADERS.items() if self._is_error else ():
            self.send_header(name, value)
        super().end_headers()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


class _JsonLog(_NoLog):
    """Logs each request as the access log of the template does."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:  # noqa: ARG002 - the base class's form
        # A request whose first line is malformed has neither method nor path.
        method, path = getattr(self, "command", None), getattr(self, "path", None)
        print_line(json.dumps({"api_key": "local", "method": method, "path": path, "status": int(code)}))


def _request(request: Request, function: Invocable) -> Response:
    event = proxy_event(request)
    if len(event["body"] or "") > _LARGEST_PAYLOAD:
        return _gateway_error("REQUEST_TOO_LARGE", 413, event)
    try:
        answer = function.invoke(event)
    except FunctionError:
        return _gateway_error("DEFAULT_5XX", 502, event)
    headers = Headers([(name, value) for name, values in answer["multiValueHeaders"].items() for value in values])
    body = base64.b64decode(answer["body"]) if answer.get("isBase64Encoded") else answer.get("body") or ""
    return Response(body, answer["statusCode"], headers)


def proxy_event(request: Request) -> dict[str, Any]:
    """Return the event that API Gateway's REST proxy integration makes of a request. The path stays percent-encoded."""
    path = request.environ["RAW_URI"].partition("?")[0]
    body = request.get_data()
    identifier = str(uuid.uuid4())
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": request.method,
        "headers": {name: request.headers[name] for name in dict.fromkeys(request.headers.keys())},
        "multiValueHeaders": {name: request.headers.getlist(name) for name in dict.fromkeys(request.headers.keys())},
        "queryStringParameters": {name: values[-1] for name, values in request.args.lists()} or None,
        "multiValueQueryStringParameters": dict(request.args.lists()) or None,
        "pathParameters": {"proxy": path.removeprefix("/")},
        "stageVariables": None,
        "requestContext": {
            "resourcePath": "/{proxy+}",
            "httpMethod": request.method,
            "path": path,
            "stage": "local",
            "requestId": identifier,
            "extendedRequestId": identifier,
            "requestTimeEpoch": int(time.time() * 1000),
            "protocol": request.environ["SERVER_PROTOCOL"],
            "accountId": "123456789012",
            "apiId": "local",
            "domainName": request.host,
            "identity": {"sourceIp": request.remote_addr, "userAgent": request.headers.get("User-Agent")},
        },
        # The template makes API Gateway treat every body as binary.
        "body": base64.b64encode(body).decode() if body else None,
        "isBase64Encoded": bool(body),
    }


def _gateway_error(kind: str, status: int, event: dict[str, Any]) -> Response:
    """Return the template's gateway response of this kind."""
    responses = resource_properties("Api")["GatewayResponses"]
    content: str = responses[kind]["ResponseTemplates"]["application/json"]
    content = content.replace("$context.requestId", event["requestContext"]["requestId"])
    headers = {name: value.strip("'") for name, value in responses[kind]["ResponseParameters"]["Headers"].items()}
    return Response(content, status, headers, content_type="application/json")


def _invoke(request: Request, function: Invocable) -> Response:
    """Invoke the function synchronously. As on AWS, an error of the function comes with status 200 and a header."""
    try:
        answer, headers = function.invoke(json.loads(request.get_data() or b"{}")), {}
    except ValueError:
        return Response(json.dumps({"message": "The payload is not JSON."}), 400, content_type="application/json")
    except FunctionError as error:
        answer = dict(zip(("errorType", "errorMessage"), error.args, strict=True))
        headers = {"X-Amz-Function-Error": "Unhandled"}
    return Response(json.dumps(answer), 200, headers, content_type="application/json")
