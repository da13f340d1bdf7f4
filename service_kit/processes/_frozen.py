"""Keeps garbage collection from copying what the fork server has loaded into every worker.

The fork server imports this module last.
"""

from service_kit.freezing import freeze

freeze()
