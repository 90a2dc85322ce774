"""The whole system on one machine: S3, DynamoDB and SQS by moto's server, the same function, the same events."""
