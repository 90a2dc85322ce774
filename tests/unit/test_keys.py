"""Photo ids and object keys."""

import pytest

from classifier.keys import batch_of, is_possible_id, is_upload_key, object_key, photo_id_of


def test_an_object_key_is_the_photo_id_behind_the_prefix() -> None:
    assert object_key("listing-42/front.jpg") == "uploads/listing-42/front.jpg"
    assert photo_id_of("uploads/listing-42/front.jpg") == "listing-42/front.jpg"
    assert photo_id_of("uploads/uploads/a.jpg") == "uploads/a.jpg"


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("uploads/a.jpg", True),
        ("uploads/a/b.jpg", True),
        ("uploads/", False),
        ("uploads/a/", False),
        ("other/a.jpg", False),
        ("a/uploads/b.jpg", False),
        ("uploads", False),
    ],
)
def test_only_a_key_of_a_file_below_the_prefix_is_an_upload(key: str, expected: bool) -> None:  # noqa: FBT001
    assert is_upload_key(key) is expected


@pytest.mark.parametrize(
    ("identifier", "expected"),
    [("a" * 1016, True), ("a" * 1017, False), ("é" * 508, True), ("é" * 508 + "a", False), ("", True)],
    ids=["1,024 bytes", "1,025 bytes", "1,024 bytes in 516 characters", "1,025 bytes in 517 characters", "empty"],
)
def test_an_id_is_possible_if_its_key_has_at_most_1024_bytes(identifier: str, expected: bool) -> None:  # noqa: FBT001
    assert is_possible_id(identifier) is expected


@pytest.mark.parametrize(
    ("identifier", "batch"), [("a/b.jpg", "a"), ("a/b/c.jpg", "a"), ("a/", "a"), ("a.jpg", None), ("/a.jpg", None)]
)
def test_the_batch_is_the_first_folder(identifier: str, batch: str | None) -> None:
    assert batch_of(identifier) == batch
