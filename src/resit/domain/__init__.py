"""Rules of the product: pure functions over frozen values, standard library only."""
