"""Load tests: the visitors of a real site, in growing numbers, and whether their answers stay right and fast."""
