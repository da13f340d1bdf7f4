"""Where images come from. One module a source; its class says how a request names it."""
