"""The record cache and the result cache, in memory or in Redis."""
