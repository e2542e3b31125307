"""
Evaluations side by side, and one alone as a page: `make compare`, and the report that `make evaluate` leaves.

    make compare RUNS="outputs/vr1_tiny/cold outputs/vr1_tiny/final"

Reads what evaluations left (`results.json`, `samples/*.parquet`); asks no model and no host.
"""
