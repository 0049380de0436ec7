"""A manifest of video jobs in, finished videos and a results file out."""

__version__ = "0.1.0"
