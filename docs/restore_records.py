"""Copies records from a restored table into the table of the stack, if their photos are still in the bucket.

    python docs/restore_records.py RESTORED_TABLE TABLE BUCKET [--overwrite]

Without --overwrite, only records are copied that TABLE does not have. With it, the records of RESTORED_TABLE also
replace those of TABLE. It reads each photo, to know whether it is still the same. Needs boto3, and permission to read
the tables and the bucket and to write to TABLE.
"""

import argparse
import hashlib
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
        self._table, self._bucket, self._overwrite = table, bucket, overwrite

    def restore(self, restored_table: str) -> Counter[str]:
        """Copy the records of that table. Return how many had each result."""
        pages = self._dynamodb.get_paginator("scan").paginate(TableName=restored_table)
        return Counter(self._restore_item(item) for page in pages for item in page["Items"])

    def _restore_item(self, item: dict[str, Any]) -> str:
        if _has_expired(item) or item.get("status", {}).get("S") not in {"SUCCEEDED", "FAILED"}:
            return "expired or without a result"
        if item.get("source", {"S": "s3"})["S"] == "s3" and not self._has_photo(item):
            return "without their photo"
        key = {"id": item["id"]}
        present = self._dynamodb.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item")
        if present and "status" not in present:
            return "removed or erased"
        if present and not self._overwrite:
            return "present already"
        return "copied" if self._put(item, present) else "changed in the meantime"

    def _put(self, item: dict[str, Any], present: Mapping[str, Any] | None) -> bool:
        """Write the record in place of the one that was read, or of none. Return False if that has changed."""
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(id)"}
        if present:
            condition = {
                "ConditionExpression": "revision = :seen",
                "ExpressionAttributeValues": {":seen": present["revision"]},
            }
        # Another revision makes the write of a function fail that read the record before.
        item = {**item, "revision": {"S": uuid.uuid4().hex}}
        try:
            self._dynamodb.put_item(TableName=self._table, Item=item, **condition)
        except self._dynamodb.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def _has_photo(self, item: Mapping[str, Any]) -> bool:
        """Return whether the bucket still holds the photo that the record is about."""
        image = item.get("image", {"M": {}})["M"]
        try:
            stored = self._s3.get_object(Bucket=self._bucket, Key=f"uploads/{item['id']['S']}")
        except self._s3.exceptions.NoSuchKey:
            return False
        with stored["Body"] as body:
            if "sha256" in image:  # two photos can be made that have one ETag
                return bool(hashlib.sha256(body.read()).hexdigest() == image["sha256"]["S"])
        return bool(stored["ETag"].strip('"') == image.get("etag", {}).get("S"))


def _has_expired(item: Mapping[str, Any]) -> bool:
    return "expires_at" in item and int(item["expires_at"]["N"]) <= time.time()


if __name__ == "__main__":
    main()
