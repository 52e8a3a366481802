"""Kie.ai pictures and videos in Jupyter: typed parameters, forms, a live gallery, safe batches."""

__version__ = "0.1.0"
