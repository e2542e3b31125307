"""What the Hugging Face Hub gets to see: cards, and later datasets and checkpoints."""
