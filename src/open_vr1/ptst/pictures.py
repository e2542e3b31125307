"""
Each picture of a generation batch processed once and kept once, off the device.

TRL hands the processor every row of a generation batch, and does so twice: once for generation and once for training. A
group of 16 completions thus has its picture resized and cut into patches 32 times. Within `pictures_processed_once` it
happens once; the rows get copies of the outcome.

TRL then sends those copies to the device, and keeps them there until the last micro-batch of the generation batch is trained
on: 24 MB for each completion to a picture of a megapixel. Here they stay where they are, the model sends for what it is
called with, and `PictureShelf` keeps one copy of each picture for the micro-batches that wait.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from accelerate.utils import is_peft_model
from torch import nn
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


def send_pictures_on_demand(model: nn.Module, device: torch.device) -> None:
    """Makes a model take pictures that are not on its device."""

    def send(module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
        if torch.is_tensor(kwargs.get("pixel_values")):
            kwargs = {**kwargs, "pixel_values": kwargs["pixel_values"].to(device)}
        return args, kwargs

    model.register_forward_pre_hook(send, with_kwargs=True)
    if is_peft_model(model):  # Its base model is called without it to generate.
        model.get_base_model().register_forward_pre_hook(send, with_kwargs=True)


class PictureShelf:
    """
    The patches of a generation batch's pictures, by row of the dataset.

    Micro-batches name their rows in `row_numbers`. Models without patches in a grid keep TRL's way.
    """

    def __init__(self):
        self.patches: dict[int, torch.Tensor] = {}

    def store(self, micro_batches: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The micro-batches of a generation batch without their patches, which take the place of the last one's."""
        if any("pixel_values" in batch and "image_grid_thw" not in batch for batch in micro_batches):
            return micro_batches
        self.patches = {}
        for batch in micro_batches:
            for row, patches in _patches_of_rows(batch):
                if row not in self.patches:
                    self.patches[row] = patches.to("cpu", copy=True)
        return [{key: value for key, value in batch.items() if key != "pixel_values"} for batch in micro_batches]

    def restore(self, batch: dict[str, Any]) -> dict[str, Any]:
        """A stored micro-batch with its patches."""
        if "pixel_values" in batch or "image_grid_thw" not in batch:
            return batch
        patches = [self.patches[row] for row in batch["row_numbers"].tolist() if row in self.patches]
        return {**batch, "pixel_values": torch.cat(patches)}


def _patches_of_rows(batch: dict[str, Any]) -> Iterator[tuple[int, torch.Tensor]]:
    if "pixel_values" not in batch:
        return
    of_pictures = iter(batch["pixel_values"].split(batch["image_grid_thw"].prod(-1).tolist()))
    for row, pictures in zip(batch["row_numbers"].tolist(), batch["num_images"], strict=True):
        if pictures:
            yield row, torch.cat([next(of_pictures) for _ in range(pictures)])
