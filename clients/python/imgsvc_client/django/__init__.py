"""A Django app: add it to INSTALLED_APPS, and set IMGSVC = {"URL": "https://images.example.com"}."""
