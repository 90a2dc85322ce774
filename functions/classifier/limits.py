"""Limits on a photo's size, checked before its pixels are decoded."""

from dataclasses import dataclass

from classifier.errors import ImageTooLarge, UnreadableImage


@dataclass(frozen=True, slots=True)
class Limits:
    """The largest accepted photo: bytes of the file, pixels in all, pixels of the longer side."""

    file_bytes: int = 25 * 1024 * 1024
    pixels: int = 50_000_000
    side: int = 20_000

    def check_bytes(self, length: int) -> None:
        """Refuse a file by its length, so that one that is too large need not be fetched. Raise a `PhotoError`."""
        if length == 0:
            raise UnreadableImage("The file is empty.")
        if length > self.file_bytes:
            raise ImageTooLarge(
                f"The file has {length:,} bytes; at most {self.file_bytes:,} "
                f"({self.file_bytes / 2**20:g} MiB) are accepted. Make it smaller."
            )

    def check_size(self, width: int, height: int) -> None:
        """Refuse an image by the size in its header. Raise `ImageTooLarge`."""
        megapixels = round(width * height / 1e6, 2)
        if width * height > self.pixels or max(width, height) > self.side:
            raise ImageTooLarge(
                f"The image has {width:,} × {height:,} pixels ({megapixels:,.12g} megapixels); at most "
                f"{self.pixels / 1e6:g} megapixels and {self.side:,} pixels a side are accepted. Make it smaller."
            )
