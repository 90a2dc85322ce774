"""Small pictures of uploads."""

import base64
import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from classifier.services import Services
from tests.support.api import Answer, Api
from tests.support.bucket import Bucket
from tests.support.drawings import encoded, photo
from tests.support.services import replace_parts

PATH = "/thumbnails/listing-42/front.jpg"
KEY = "uploads/listing-42/front.jpg"


def open_picture(answer: Answer) -> Image.Image:
    assert (answer.status, answer.headers["content-type"]) == (200, "image/jpeg")
    return Image.open(io.BytesIO(base64.b64decode(answer.body)))


def half_red(size: tuple[int, int]) -> Image.Image:
    """A picture whose left half is red and whose right half is blue."""
    image = Image.new("RGB", size, "blue")
    image.paste("red", (0, 0, size[0] // 2, size[1]))
    return image


@pytest.mark.parametrize(
    ("size", "expected"),
    [((3000, 4000), (360, 480)), ((800, 200), (480, 120)), ((100, 50), (100, 50)), ((1, 1), (1, 1))],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "HEIF"])
def test_it_has_the_photo_s_proportions_and_at_most_480_pixels_a_side(
    api: Api, bucket: Bucket, size: tuple[int, int], expected: tuple[int, int], kind: str
) -> None:
    bucket.put(KEY, encoded(half_red(size), kind))

    assert open_picture(api.request("GET", PATH)).size == expected


def test_it_is_upright_and_has_no_metadata(api: Api, bucket: Bucket) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "a camera"  # to be turned by 90 degrees clockwise
    bucket.put(KEY, encoded(half_red((600, 300)), exif=exif, comment=b"secret"))

    picture = open_picture(api.request("GET", PATH))

    assert picture.size == (240, 480)
    (upper_red, _, upper_blue), (lower_red, _, lower_blue) = np.asarray(picture)[[60, 420], 120].tolist()
    assert upper_red > 200 + upper_blue, "the left half is now the upper one"
    assert lower_blue > 200 + lower_red
    assert not picture.getexif()
    assert picture.info.keys() <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


def test_a_client_that_has_it_gets_304(api: Api, bucket: Bucket) -> None:
    bucket.put(KEY, photo())
    first = api.request("GET", PATH)

    again = api.request("GET", PATH, headers={"If-None-Match": first.headers["etag"]})

    assert (again.status, again.body, again.headers["etag"]) == (304, "", first.headers["etag"])
    assert first.headers["cache-control"] == "private, no-cache"
    bucket.put(KEY, photo("pants"))
    assert api.request("GET", PATH, headers={"If-None-Match": first.headers["etag"]}).status == 200


def test_head_has_no_body(api: Api, bucket: Bucket) -> None:
    bucket.put(KEY, photo())

    answer = api.request("HEAD", PATH)

    assert (answer.status, answer.body) == (200, "")


def test_a_photo_that_is_not_there_has_none(api: Api, bucket: Bucket) -> None:
    bucket.put(KEY, photo())
    sent = api.request("POST", "/classifications", body=photo(), headers={"Content-Type": "image/jpeg"}).json["id"]
    api.request("DELETE", "/classifications/listing-42/front.jpg")
    bucket.put(KEY, photo())  # an upload that was on the way when the photo was deleted

    for photo_id in ("none.jpg", sent, "listing-42/", "listing-42/front.jpg"):
        assert api.request("GET", f"/thumbnails/{photo_id}").status == 404, photo_id


def test_a_file_that_cannot_be_shown_is_refused(api: Api, services: Services, bucket: Bucket) -> None:
    bucket.put(KEY, b"just text")
    assert api.request("GET", PATH).status == 415

    limits = replace(services.settings.limits, file_bytes=5)
    small = replace_parts(services, settings=replace(services.settings, limits=limits))
    assert Api(small).request("GET", PATH).status == 413
