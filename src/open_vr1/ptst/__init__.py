"""Progressive Thinking Suppression Training: GRPO whose length limit and group size change by stage within one run."""
