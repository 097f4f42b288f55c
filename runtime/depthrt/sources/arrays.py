"""Images that are in memory already."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from depthrt.errors import SourceError
from depthrt.frame import Frame, Image, image_size
from depthrt.model.preprocess import check_image
from depthrt.sources.base import Closable, Losses, Selection, SourceInfo, select
from depthrt.sources.images import IMAGES_PER_S


class ArraysSource:
    """An iterable of uint8 RGB images (H,W,3), one frame each, read as it is consumed.

    The iterable may fill one buffer again and again: the pipeline copies the pictures it keeps.

    Raises:
        SourceError: there is no first image.
        UsageError: the first image is no uint8 RGB array.
    """

    def __init__(self, images: Iterable[Image], selection: Selection) -> None:
        self.losses = Losses()
        self._iterator = iterator = iter(images)
        try:
            first = next(iterator)
        except StopIteration as error:
            raise SourceError("the iterable holds no image") from error
        check_image(first)
        self._images = chain([first], iterator)
        self.info = SourceInfo(
            name="images",
            size=image_size(first),
            rate=IMAGES_PER_S,
            time_base_s=1 / IMAGES_PER_S,
            selection=selection,
        )

    def stop(self) -> None:
        """Nothing can be done about somebody's iterable that waits."""

    def close(self) -> None:
        """Close the iterable, where it can be closed and none of its images is wanted."""
        if isinstance(self._iterator, Closable):
            self._iterator.close()

    def frames(self) -> Iterator[Frame]:
        """The selected images, in order."""
        try:
            yield from select(self._numbered(), self.info.selection)
        finally:
            self.close()

    def _numbered(self) -> Iterator[Frame]:
        for index, image in enumerate(self._images):
            check_image(image)
            yield Frame(image, index, index / IMAGES_PER_S, self.info.name)
