"""Small pictures of uploaded photos, for pages that show listings."""

import io
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from classifier.bucket import ObjectNotFound, StoredObject
from classifier.classification import Source
from classifier.errors import NotFound
from classifier.keys import object_key
from classifier.pixels import Photo
from classifier.reconcile import find_pending
from classifier.services import Services

SIDE = 480  # pixels of the longer side
_QUALITY = 80  # of the JPEG; a picture has about 30 kB


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A JPEG, or None if the client has it already. `etag` is that of the photo and this size."""

    etag: str
    jpeg: bytes | None


def make_thumbnail(photo_id: str, is_known: Callable[[str], bool], services: Services) -> Thumbnail:
    """Return the picture of an upload: upright, in sRGB, without metadata. `is_known` tells which ETags a client has.

    Raise `NotFound`, a `PhotoError` if the file cannot be shown, `Busy`, and the AWS SDK's errors.
    """
    row, key = services.records.read(photo_id), object_key(photo_id)
    known = row.classification or find_pending(row, services)
    if known.source is not Source.S3:
        raise NotFound("This photo came with a request, and was not kept.")
    services.decoders.start()  # it gets ready while this process fetches the photo
    try:
        stored = services.bucket.open(key)
    except ObjectNotFound as error:
        raise NotFound("This photo has not arrived, and so it has no picture.") from error
    with closing(stored.body):
        etag = f'"{stored.etag}-{stored.last_modified.timestamp():.0f}-{SIDE}"'
        return Thumbnail(etag, None if is_known(etag) else _draw(stored, services))


def _draw(stored: StoredObject, services: Services) -> bytes:
    limits = services.settings.limits
    limits.check_bytes(stored.size)
    return encode(services.decoders.decode(stored.body.read(), SIDE, limits))


def encode(photo: Photo) -> bytes:
    """Return the square of pixels as a JPEG with the photo's own proportions, never larger than the photo."""
    from PIL import Image, JpegImagePlugin  # noqa: F401, PLC0415 - few requests need it. Plugins register themselves

    scale = min(1, SIDE / max(photo.width, photo.height))
    size = (max(1, round(photo.width * scale)), max(1, round(photo.height * scale)))
    picture = Image.frombytes("RGB", (photo.side, photo.side), photo.rgb).resize(size, Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=_QUALITY, optimize=True)
    return file.getvalue()
