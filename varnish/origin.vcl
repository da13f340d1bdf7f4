# How a request reaches nginx, and what happens if it does not.

import std;

# Hits skip this.
sub origin_forward {
    set req.backend_hint = nginx.backend();
}

sub origin_fetch {
    # If a node does not answer, try another one. If there is no other, try one that fails its
    # probes, since it may have come back within the last second. The request ID chooses the node,
    # so that the second and the third try go to different nodes. With round robin, other requests
    # that retry at the same time could take the turns in between.
    if (bereq.retries == 1) {
        set bereq.backend = any.backend(by=KEY, key=any.key(bereq.http.X-Request-ID), alt=1, healthy=IGNORE);
    } else if (bereq.retries > 1 || !std.healthy(bereq.backend)) {
        set bereq.backend = any.backend(by=KEY, key=any.key(bereq.http.X-Request-ID), healthy=IGNORE);
    }
}

sub origin_error {
    # The connection was refused, or broke before a response. Varnish itself never repeats a request
    # whose body it has sent, so an upload is never stored twice.
    if (bereq.retries < 2) {
        return (retry);
    }
    # Keep the stale object that clients get in the meantime.
    if (bereq.is_bgfetch) {
        return (abandon);
    }
}
