"""What happens to a task: submitting, looking, saving, storing, telling. No widgets, no Jupyter."""
