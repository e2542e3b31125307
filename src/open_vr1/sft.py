"""Cold start: supervised fine-tuning on pictures with chains of thought.

    make sft RECIPE=recipes/vr1_tiny/sft.yaml ARGS="--learning_rate 2e-6"

Loss falls on the completion alone. Rows are never cut: over-long ones are left out and counted. The paper trains the
language model only (`freeze_vision_tower`, `freeze_projector`), on every row, for two epochs.
"""

import sys
from collections.abc import Sequence

from open_vr1.entry import entry_point
from open_vr1.recipe import recipe_from_command_line


@entry_point
def main(argv: Sequence[str] | None = None) -> None:
    recipe = recipe_from_command_line("sft", argv)

    from transformers import set_seed
    from trl import SFTTrainer, get_peft_config

    from open_vr1.build import make_inputs
    from open_vr1.data import load_rows
    from open_vr1.data_sources import load_processor
    from open_vr1.evals.callback import evaluation_of
    from open_vr1.hub.model_card import OwnCard
    from open_vr1.hub.outbox.live import publication_of
    from open_vr1.plan.tell import tell_plan
    from open_vr1.resume import ResumableTrainer
    from open_vr1.training import (
        claim_output_dir,
        finish,
        is_finished,
        load_model,
        train_to_the_end,
        trl_arguments,
    )

    class ColdStartTrainer(OwnCard, ResumableTrainer, SFTTrainer):
        pass

    # ----- Before anything is loaded
    if is_finished(recipe):
        return finish(recipe)
    make_inputs(recipe)
    tell_plan(recipe)
    checkpoint = claim_output_dir(recipe)
    publication, evaluation = publication_of(recipe), evaluation_of(recipe)
    args = trl_arguments(recipe)
    set_seed(args.seed)

    # ----- Rows
    processor = load_processor(
        recipe.model.model_name_or_path, recipe.args.min_pixels, recipe.args.max_pixels, recipe.model.model_revision
    )
    with args.main_process_first(desc="rows"):  # The others find what the first has checked and measured.
        rows = load_rows(recipe.args, "train", processor, seed=args.seed)
        eval_rows = load_rows(recipe.args, "eval", processor, seed=args.seed) if args.eval_strategy != "no" else None

    # ----- Model and training
    trainer = ColdStartTrainer(
        model=load_model(recipe),
        args=args,
        train_dataset=rows,
        eval_dataset=eval_rows,
        processing_class=processor,
        peft_config=get_peft_config(recipe.model),
    )
    train_to_the_end(trainer, recipe, processor, checkpoint, publication, evaluation)


if __name__ == "__main__":
    sys.exit(main())
