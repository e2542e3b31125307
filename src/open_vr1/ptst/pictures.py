"""
Each picture of a generation batch processed once.

TRL hands the processor every row of a generation batch, and does so twice: once for generation and once for training. A
group of 16 completions thus has its picture resized and cut into patches 32 times. Within `pictures_processed_once` it
happens once; the rows get copies of the outcome.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import BatchFeature, ProcessorMixin
from transformers.image_utils import make_flat_list_of_images

# What Qwen2-VL's image processor and its successors return; the grids say which patches are whose.
CUTTABLE = {"pixel_values", "image_grid_thw"}


class PictureMemory:
    """Stands in for an image processor and remembers what it made of each picture object."""

    def __init__(self, image_processor: Any):
        self.image_processor = image_processor
        self.made: dict[int, tuple[Any, torch.Tensor, torch.Tensor]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.image_processor, name)

    def __call__(self, images: Any, **kwargs: Any) -> BatchFeature:
        pictures = make_flat_list_of_images(images)
        new = list({id(picture): picture for picture in pictures if id(picture) not in self.made}.values())
        if new:
            made = self.image_processor(new, **kwargs)
            if set(made) != CUTTABLE:
                return self.image_processor(images, **kwargs)
            grids = torch.as_tensor(made["image_grid_thw"])
            patches = torch.as_tensor(made["pixel_values"]).split(grids.prod(-1).tolist())
            # The picture itself is kept too, or another object could come to have its id.
            self.made |= {id(p): (p, *parts) for p, *parts in zip(new, patches, grids, strict=True)}
        _, patches, grids = zip(*(self.made[id(picture)] for picture in pictures), strict=True)
        return BatchFeature({"pixel_values": torch.cat(patches), "image_grid_thw": torch.stack(grids)})


@contextmanager
def pictures_processed_once(processor: Any) -> Iterator[None]:
    """While it lasts, a processor that sees the same picture object again takes what it made of it before."""
    image_processor = getattr(processor, "image_processor", None)
    if not isinstance(processor, ProcessorMixin) or image_processor is None:
        yield
        return
    processor.image_processor = PictureMemory(image_processor)
    try:
        yield
    finally:
        processor.image_processor = image_processor
