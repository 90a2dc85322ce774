"""Copies records from a restored table into the table of the stack, if their photos are still in the bucket.

    python docs/restore_records.py RESTORED_TABLE TABLE BUCKET [--overwrite]

Without --overwrite, only records are copied that TABLE does not have. With it, the records of RESTORED_TABLE also
replace those of TABLE. Needs boto3, and permission to read the tables and the bucket and to write to TABLE.
"""

import argparse
import sys
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("restored_table", "table", "bucket"):
        parser.add_argument(name)
    parser.add_argument("--overwrite", action="store_true", help="also replace records that TABLE has")
    options = parser.parse_args()
    try:
        results = Restorer(options.table, options.bucket, overwrite=options.overwrite).restore(options.restored_table)
    except (BotoCoreError, ClientError) as error:
        sys.exit(str(error))
    print(", ".join(f"{count} {result}" for result, count in sorted(results.items())) or "The restored table is empty.")


class Restorer:
    """Copies records into the table, if their photos are in the bucket. Its methods raise the AWS SDK's errors."""

    def __init__(self, table: str, bucket: str, *, overwrite: bool) -> None:
        self._dynamodb, self._s3 = boto3.client("dynamodb"), boto3.client("s3")
        self._table, self._bucket = table, bucket
        self._condition: dict[str, Any] = {} if overwrite else {"ConditionExpression": "attribute_not_exists(id)"}

    def restore(self, restored_table: str) -> Counter[str]:
        """Copy the records of that table. Return how many had each result."""
        pages = self._dynamodb.get_paginator("scan").paginate(TableName=restored_table)
        return Counter(self._restore_item(item) for page in pages for item in page["Items"])

    def _restore_item(self, item: dict[str, Any]) -> str:
        if _has_expired(item) or item.get("status", {}).get("S") not in {"SUCCEEDED", "FAILED"}:
            return "expired or without a result"
        if item.get("source", {"S": "s3"})["S"] == "s3" and not self._has_photo(item):
            return "without their photo"
        # Another revision makes the write of a function fail that read the record before.
        item = {**item, "revision": {"S": uuid.uuid4().hex}}
        try:
            self._dynamodb.put_item(TableName=self._table, Item=item, **self._condition)
        except self._dynamodb.exceptions.ConditionalCheckFailedException:
            return "present already"
        return "copied"

    def _has_photo(self, item: Mapping[str, Any]) -> bool:
        """Return whether the bucket still holds the photo that the record is about."""
        try:
            stored = self._s3.head_object(Bucket=self._bucket, Key=f"uploads/{item['id']['S']}")
        except self._s3.exceptions.ClientError as error:
            if error.response["Error"]["Code"] == "404":
                return False
            raise
        return bool(stored["ETag"].strip('"') == item["image"]["M"]["etag"]["S"])


def _has_expired(item: Mapping[str, Any]) -> bool:
    return "expires_at" in item and int(item["expires_at"]["N"]) <= time.time()


if __name__ == "__main__":
    main()
