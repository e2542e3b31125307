"""A run on other machines than this one: Slurm and Hugging Face Jobs."""
