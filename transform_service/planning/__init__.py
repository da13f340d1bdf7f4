"""From a chain and a header to a plan. Pure: no pixels, no I/O."""
