"""Worker processes, and the memory and cores that this process may use."""
