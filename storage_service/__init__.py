"""The storage service. It owns images: their records and their bytes."""
