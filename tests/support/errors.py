"""Errors of the function and of AWS."""

from typing import Any

from botocore.exceptions import ClientError

from classifier.errors import ClassifierError


def error_kinds(kind: type[ClassifierError] = ClassifierError) -> list[type[ClassifierError]]:
    """Return all errors of the function that have a code."""
    found = [inner for child in kind.__subclasses__() for inner in error_kinds(child)]
    return [kind, *found] if hasattr(kind, "code") else found


def client_error(code: str, status: int = 400, message: str = "") -> ClientError:
    """Return the error that the AWS SDK raises for an answer with this code and HTTP status."""
    response: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "GetObject")
