"""Worker processes, and how much memory and how many cores this process may use."""
