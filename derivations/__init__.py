"""The theory, in sympy. Nothing here depends on how the equations are solved."""
