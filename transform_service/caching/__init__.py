"""What the service remembers: records and results, in memory or in Redis."""
