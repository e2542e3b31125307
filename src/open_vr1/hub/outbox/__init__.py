"""
The outbox: every checkpoint of a run becomes a branch on the Hub, in its own time, and none is lost.

    make grpo RECIPE=recipes/vr1_7b/ptst.yaml ARGS="--push_to_hub true"    # publishes while it trains
    make push-checkpoints RUN=outputs/vr1_7b/final                         # publishes what a run has left
    make outbox                                                            # what is published, and what waits
    make outbox-drain RUN=outputs/vr1_7b/final                             # goes on where a drain was stopped

Training only makes hard links of a checkpoint's files into `<output_dir>/_outbox/`, so rotation cannot take them away and a
slow Hub cannot hold it up. A process of its own, the drain, makes the cards, sends the files, compares what has arrived, tags
and takes note. It goes on when training has ended or was killed, and a killed drain is started again with the next
checkpoint.
"""
