# How a request reaches nginx, and what happens when it does not.

import std;

# Hits do without.
sub origin_forward {
    set req.backend_hint = nginx.backend();
}

sub origin_fetch {
    # Where one did not answer, another is asked; and one that the probes believe gone, where there is no other: it may have
    # come back within this second. By the request's id, so that the second and the third try are surely two nodes: with
    # turns, others that retry at the same time take every other one.
    if (bereq.retries == 1) {
        set bereq.backend = any.backend(by=KEY, key=any.key(bereq.http.X-Request-ID), alt=1, healthy=IGNORE);
    } else if (bereq.retries > 1 || !std.healthy(bereq.backend)) {
        set bereq.backend = any.backend(by=KEY, key=any.key(bereq.http.X-Request-ID), healthy=IGNORE);
    }
}

sub origin_error {
    # Nobody accepted the connection, or it broke before an answer. Varnish itself refuses to repeat a request whose body
    # it has sent; so an upload is never stored twice.
    if (bereq.retries < 2) {
        return (retry);
    }
    # What is served meanwhile stays in place.
    if (bereq.is_bgfetch) {
        return (abandon);
    }
}
