"""A study file turned into stages, executed and resumed."""
