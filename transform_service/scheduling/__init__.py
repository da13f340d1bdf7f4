"""When and where a plan runs: admission, and the renderer processes."""
