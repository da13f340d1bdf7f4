"""Metadata stores, one module per kind of database. The scheme of DATABASE_URL selects one."""
