"""Ways to break a promise, one a module: the simulation must catch each of them, or its silence proves nothing.

A module says in its docstring which promise it breaks. `broken()` is a context manager inside which the product does
so, and `CAUGHT` is a pattern for the sentences with which the checker may answer.
"""
