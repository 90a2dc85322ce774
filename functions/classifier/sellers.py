"""What sellers may request with the token of their listing: the routes below `/listings`."""

from classifier.errors import Forbidden, NotFound
from classifier.keys import batch_of
from classifier.request_parsing import id_in_path

SELLERS_PREFIX = "/listings"
_NO_TOKEN = "Send the token of the listing in the header `Authorization: Bearer TOKEN`."  # noqa: S105 - no token
_OF_ALL_LISTINGS = {"/model", "/uploads"}
_OF_A_LISTING, _CONFIRMATION = "/batches/", "/confirmation"
_OF_A_PHOTO = ("/classifications/", "/confirmations/", "/thumbnails/")


def bearer_token(authorization: str) -> str:
    """Return the token of the header (RFC 6750, section 2.1). Raise `Forbidden` if there is none."""
    scheme, _, token = authorization.strip().partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Forbidden(_NO_TOKEN)
    return token.strip()


def check_scope(method: str, path: str, listing: str) -> None:
    """Raise `NotFound` if the request is not about this listing: for its seller, there are no others."""
    if path in _OF_ALL_LISTINGS:
        return
    if path.startswith(_OF_A_LISTING):
        is_confirmation = method in {"PUT", "DELETE"} and path.removesuffix(_CONFIRMATION).startswith(_OF_A_LISTING)
        batch_id = id_in_path(path.removesuffix(_CONFIRMATION) if is_confirmation else path, _OF_A_LISTING)
        if batch_id != listing:
            raise NotFound.batch(batch_id)
        return
    for prefix in _OF_A_PHOTO:
        if path.startswith(prefix):
            photo_id = id_in_path(path, prefix)
            if batch_of(photo_id) != listing:
                raise NotFound.photo(photo_id)
            return
    raise NotFound("A token does not open this path.")
