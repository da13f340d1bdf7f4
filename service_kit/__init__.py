"""The kit that the services are built from. It imports neither the services nor `imaging`."""
