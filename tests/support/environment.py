"""The environment variables that the function reads in the tests."""

from tests.support.paths import TESTS_MODEL

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
ENVIRONMENT = {
    **CREDENTIALS,
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "BUCKET_NAME": "photos",
    "TABLE_NAME": "classifications",
    "MODEL_DIR": str(TESTS_MODEL),
    "ALLOW_LOOPBACK_URLS": "1",
    "CURSOR_KEY": "a key of the tests",
}
