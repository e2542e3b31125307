"""One YAML file and one module per benchmark; a new one needs nothing else."""
