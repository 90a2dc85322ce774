"""Tells what piece of clothing a photo shows: one Lambda function behind a bucket, a queue and an HTTP API."""
