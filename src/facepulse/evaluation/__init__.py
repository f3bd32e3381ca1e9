"""Evaluation of methods and networks on recordings with a reference."""
