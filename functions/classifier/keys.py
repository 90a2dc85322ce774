"""How photo ids and object keys correspond, and how long they may be. Imports nothing.

The object key of an uploaded photo is `uploads/` followed by the photo's id. The first folder of the id names the
listing (the batch) that the photo belongs to.
"""

UPLOAD_PREFIX = "uploads/"
SIGNING_KEYS = "//"  # the key of the table's row with the keys that sign tokens. No photo or listing has this id
MAX_KEY_BYTES = 1024  # of an object key in S3, in UTF-8


def object_key(photo_id: str) -> str:
    """Return the key of the object that holds an uploaded photo."""
    return UPLOAD_PREFIX + photo_id


def photo_id_of(key: str) -> str:
    """Return the id of the photo that an object holds."""
    return key.removeprefix(UPLOAD_PREFIX)


def is_upload_key(key: str) -> bool:
    """Return whether the key is that of a photo: not of a folder, and not outside `uploads/`."""
    return key.startswith(UPLOAD_PREFIX) and not key.endswith("/")


def is_possible_id(photo_id: str) -> bool:
    """Return whether a photo can have this id: S3 refuses longer keys."""
    return len(object_key(photo_id).encode()) <= MAX_KEY_BYTES


def is_possible_batch(batch_id: str) -> bool:
    """Return whether a listing can have this id: the name of one folder, short enough for a photo in it."""
    try:
        return batch_of(f"{batch_id}/a") == batch_id and is_possible_id(f"{batch_id}/a")
    except UnicodeEncodeError:  # JSON can contain half of a surrogate pair
        return False


def listing_key(batch_id: str) -> str:
    """Return the key of the table's row about a whole listing. No photo has such an id."""
    return f"{batch_id}/"


def batch_of(photo_id: str) -> str | None:
    """Return the first folder of an uploaded photo's id, or None if the id has no folder."""
    folder, slash, _ = photo_id.partition("/")
    return folder if slash and folder else None
