"""Metadata stores, one module for each kind of database. The scheme of DATABASE_URL chooses one."""
