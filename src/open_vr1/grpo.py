"""Reinforcement learning: GRPO on verifiable answers, in the stages of PTST.

    make grpo RECIPE=recipes/vr1_tiny/ptst.yaml ARGS="--learning_rate 1e-4"

A recipe with `ptst_stages` raises the completion length stage by stage inside one run; one without is a single stage of
`max_steps`, as the paper's Zero and Long runs are.
"""

import sys
from collections.abc import Sequence

from open_vr1.entry import entry_point
from open_vr1.recipe import recipe_from_command_line


@entry_point
def main(argv: Sequence[str] | None = None) -> None:
    recipe = recipe_from_command_line("grpo", argv)

    from transformers import set_seed
    from trl import get_peft_config

    from open_vr1.build import make_inputs
    from open_vr1.data import load_rows
    from open_vr1.data_sources import load_processor
    from open_vr1.evals.callback import evaluation_of
    from open_vr1.hub.model_card import OwnCard
    from open_vr1.hub.outbox.live import publication_of
    from open_vr1.plan.tell import tell_plan
    from open_vr1.ptst.guardrails import GuardrailCallback
    from open_vr1.ptst.schedule import schedule_of
    from open_vr1.ptst.trainer import PTSTTrainer
    from open_vr1.rewards import registry
    from open_vr1.training import (
        claim_output_dir,
        finish,
        is_finished,
        load_model,
        train_to_the_end,
        trl_arguments,
    )

    class RecipeTrainer(OwnCard, PTSTTrainer):
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
    trainer = RecipeTrainer(
        model=load_model(recipe),
        args=args,
        schedule=schedule_of(recipe),
        constant=recipe.args.ptst_constant,
        reward_funcs=registry.resolve(recipe.args.reward_funcs, recipe.args.reward_options),
        train_dataset=rows,
        eval_dataset=eval_rows,
        processing_class=processor,
        peft_config=get_peft_config(recipe.model),
    )
    if recipe.args.guardrails != "off":
        trainer.add_callback(
            GuardrailCallback(
                stop=recipe.args.guardrails == "stop",
                steps=recipe.args.guardrail_steps,
                limits=recipe.args.guardrail_limits,
                source=str(recipe.path),
                staged=bool(recipe.args.ptst_stages),
            )
        )
    train_to_the_end(trainer, recipe, processor, checkpoint, publication, evaluation)


if __name__ == "__main__":
    sys.exit(main())
