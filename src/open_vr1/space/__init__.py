"""A Gradio Space on a published checkpoint: `make space` deploys `spaces/reasoner/`, `make space-local` opens it on this machine."""
