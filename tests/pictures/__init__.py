"""The pictures of README: ``python -m tests.pictures`` writes them into ``.assets/``."""
