"""A client that openapi-python-client generates from `/openapi.json` can send the requests of shops and of sellers.

The description gives the header `Accept` to the operations that take a photo. Without any optional parameter, version
0.29.1 forgets an import where a body has two media types (its issue 1451).
"""

import importlib
import io
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.local_system import System, running, wait_until
from tests.support.paths import ROOT
from tests.support.photo_server import PhotoServer
from tests.support.ports import free_port

PHOTO = (ROOT / "local" / "t-shirt.jpg").read_bytes()
GENERATOR = Path(sys.executable).with_name("openapi-python-client")


@dataclass(frozen=True)
class Generated:
    """The package that the generator wrote, with a client for the shop."""

    url: str
    client: Any

    def call(self, operation: str, *arguments: Any, client: Any = None, **options: Any) -> Any:
        """Send a request, and return its response. `operation` is its module, such as `photos.predict`."""
        module = importlib.import_module(f"generated.api.{operation}")
        return module.sync_detailed(*arguments, client=client or self.client, **options)

    def model(self, name: str) -> Any:
        return getattr(importlib.import_module("generated.models"), name)

    def photo(self) -> Any:
        return importlib.import_module("generated.types").File(payload=io.BytesIO(PHOTO))

    def sellers_client(self, token: str) -> Any:
        return importlib.import_module("generated").AuthenticatedClient(self.url, token)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running(free_port(), free_port(), tmp_path_factory.mktemp("system") / "output") as started:
        yield started


@pytest.fixture(scope="module")
def generated(system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Generated]:
    """Generate the client. Fail if the generator leaves something out, which it warns of."""
    folder = tmp_path_factory.mktemp("client")
    done = subprocess.run(
        [
            *(GENERATOR, "generate", "--url", f"{system.url}/openapi.json", "--fail-on-warning"),
            *("--meta", "none", "--output-path", folder / "generated"),
        ],
        env={"PATH": str(GENERATOR.parent)},  # it formats its output with ruff
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "arning" not in done.stdout + done.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        shop = importlib.import_module("generated").AuthenticatedClient(
            system.url, "any key", prefix="", auth_header_name="x-api-key"
        )
        yield Generated(system.url, shop)


@pytest.fixture
def listing(generated: Generated) -> Any:
    """A listing of two photos, sent with the forms."""
    names = ("front.jpg", "back.jpg")
    image_type = generated.model("UploadFileContentType").IMAGEJPEG
    files = [generated.model("UploadFile")(name=name, content_type=image_type) for name in names]
    uploads = generated.call("photos.create_uploads", body=generated.model("Files")(files=files)).parsed
    for form in uploads.items:
        httpx.post(form.url, data=form.fields.to_dict(), files={"file": PHOTO}).raise_for_status()
    wait_until(lambda: read_batch(generated, uploads.batch_id), lambda batch: batch.succeeded == len(names))
    return uploads


def read_batch(generated: Generated, batch_id: str) -> Any:
    return generated.call("photos.read_batch", batch_id).parsed


def test_it_sends_the_bytes_of_a_photo(generated: Generated) -> None:
    scores = generated.call("photos.predict", body=generated.photo())
    classification = generated.call("photos.create_classification", body=generated.photo())

    assert max(scores.parsed.to_dict().items(), key=lambda item: item[1])[0] == "t-shirt"
    assert (classification.status_code, classification.parsed.label) == (201, "t-shirt")
    assert classification.parsed.image.bytes_ == len(PHOTO)
    assert scores.headers["location"].startswith("/classifications/")


def test_it_sends_the_url_of_a_photo(generated: Generated, photo_server: PhotoServer) -> None:
    url = generated.model("PhotoUrl")(url=photo_server.serve("/front.jpg", PHOTO))

    assert generated.call("photos.predict", body=url).parsed["t-shirt"] > 0.9
    assert generated.call("photos.create_classification", body=url).parsed.source == "url"


def test_it_reads_a_listing_and_lists_photos(generated: Generated, listing: Any) -> None:
    batch = read_batch(generated, listing.batch_id)
    label = generated.model("KnownLabel").T_SHIRT
    page = generated.call(
        "photos.list_classifications", batch=listing.batch_id, label=label, needs_review=False, limit=1
    )

    assert (batch.label, batch.category.name, batch.needs_review, batch.confirmation) == (
        "t-shirt",
        "T-shirt",
        False,
        None,
    )
    assert {item.id for item in batch.items} == {form.id for form in listing.items}
    assert len(page.parsed.items) == 1
    assert page.parsed.next_cursor


def test_it_reads_only_what_has_changed(generated: Generated, listing: Any) -> None:
    photo_id = listing.items[0].id
    etag = generated.call("photos.read_classification", photo_id).headers["etag"]

    again = generated.call("photos.read_classification", photo_id, if_none_match=etag)

    assert (again.status_code, again.parsed) == (304, None)


@pytest.mark.parametrize("label", ["hat", None])
def test_it_confirms_the_label_of_a_photo_and_takes_that_back(
    generated: Generated, listing: Any, label: str | None
) -> None:
    photo_id = listing.items[0].id
    answer = generated.model("Answer")(label=label and generated.model("KnownLabel")(label))

    confirmed = generated.call("photos.confirm", photo_id, body=answer, if_none_match="*")
    second = generated.call("photos.confirm", photo_id, body=answer, if_none_match="*")
    stale = generated.call("photos.take_back", photo_id, if_match='"another"')
    taken_back = generated.call("photos.take_back", photo_id, if_match=confirmed.headers["etag"])

    assert (confirmed.parsed.confirmation.label, confirmed.parsed.confirmation.by) == (label, "shop")
    assert [(one.status_code, one.parsed.error.code) for one in (second, stale)] == [(412, "invalid_request")] * 2
    assert taken_back.parsed.confirmation is None


def test_it_confirms_the_label_of_a_listing_and_takes_that_back(generated: Generated, listing: Any) -> None:
    answer = generated.model("Answer")(label=generated.model("KnownLabel").HAT)

    confirmed = generated.call("photos.confirm_batch", listing.batch_id, body=answer).parsed
    taken_back = generated.call("photos.take_back_batch", listing.batch_id).parsed

    assert {item.confirmed_label for item in confirmed.items} == {"hat"}
    assert {item.confirmed_label for item in taken_back.items} == {None}


def test_it_gets_a_thumbnail(generated: Generated, listing: Any) -> None:
    thumbnail = generated.call("photos.read_thumbnail", listing.items[0].id)

    assert thumbnail.headers["content-type"] == "image/jpeg"
    assert thumbnail.parsed.payload.read().startswith(b"\xff\xd8")


def test_it_deletes_a_photo_and_a_listing(generated: Generated, listing: Any) -> None:
    photo_id = listing.items[0].id

    assert generated.call("photos.delete_classification", photo_id).status_code == 204
    assert generated.call("photos.read_classification", photo_id).parsed.error.code == "not_found"
    assert generated.call("photos.delete_batch", listing.batch_id).status_code == 204
    assert generated.call("photos.read_batch", listing.batch_id).status_code == 404


def test_it_sends_the_requests_of_a_seller(generated: Generated, listing: Any) -> None:
    seller = generated.sellers_client(listing.token)
    answer = generated.model("Answer")(label=None)

    batch = generated.call("listings.read_batch_of_listing", listing.batch_id, client=seller).parsed
    confirmed = generated.call("listings.confirm_batch_of_listing", listing.batch_id, client=seller, body=answer).parsed
    other = generated.call("listings.read_batch_of_listing", "another", client=seller)

    assert batch.total == 2
    assert (confirmed.confirmation.by, confirmed.label) == ("seller", None)
    assert other.status_code == 404


def test_it_reads_what_the_service_is(generated: Generated) -> None:
    model = generated.call("service.read_model").parsed

    assert model.categories["outwear"].name == "Jacket or coat"
    assert generated.call("service.check_health").parsed.model_version == model.version
    assert "<html" in generated.call("service.show_page").parsed
    assert generated.call("service.read_openapi").parsed["openapi"] == "3.1.0"
