"""
From pictures, questions and answers to verified chains of thought: the paper's modality bridging, step by step.

    make cold RECIPE=recipes/vr1_tiny/cold.yaml

    gather       sources/ yield rows; every picture is looked at once and kept once
    decontaminate    rows that an evaluation benchmark has are dropped or marked, before they cost anything
    bridge       a vision model thinks aloud and describes the picture, a text model reasons from the description
    filter       named rules keep or reject each chain; wording that gives the text away is mended
    select       `target_rows` of what is left, drawn by source; the rows for reinforcement learning
    shards       the dataset that `load_dataset` opens
    report       what came in, what went out, and why

Each step leaves what it made in `_build/` and is skipped once it is there, so the same command goes on after a kill.
"""
