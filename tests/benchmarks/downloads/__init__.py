"""Downloads beside curl, aria2c and the usual script, and what a slow disk does to everything else."""
