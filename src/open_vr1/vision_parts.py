"""Which parameters of a vision-language model are its vision tower's and its projector's, for freezing and planning."""

from transformers import PreTrainedModel

# Where the vision tower and the projector sit in the models of transformers: Qwen's `visual` holds both.
TOWER_NAMES = ("visual", "vision_tower", "vision_model")
PROJECTOR_NAMES = ("merger", "deepstack_merger_list", "multi_modal_projector", "connector")


def vision_parameters(model: PreTrainedModel) -> dict[str, list[str]]:
    """Names of the parameters of the vision tower and of the projector."""
    parts: dict[str, list[str]] = {"tower": [], "projector": []}
    for name, _ in model.named_parameters():
        places = name.split(".")
        if any(place in PROJECTOR_NAMES for place in places):
            parts["projector"].append(name)
        elif any(place in TOWER_NAMES for place in places):
            parts["tower"].append(name)
    return parts
