"""The whole system on one machine: the function, with moto's S3, DynamoDB, SQS and EventBridge."""
