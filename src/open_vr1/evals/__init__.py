"""Benchmarks on the evaluation harness, scored with the verifier of the rewards: `make evaluate`."""
