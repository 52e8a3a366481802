"""Scripted batches: what is asked for (a plan), and what becomes of it."""
