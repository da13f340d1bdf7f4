# How a request reaches nginx, and what happens when it does not.

import std;

sub origin_recv {
    set req.backend_hint = nginx.backend();
}

sub origin_fetch {
    # The next node, where one did not answer; and one that the probes believe gone, where there is no other: it may have
    # come back within this second.
    if (bereq.retries > 0 || !std.healthy(bereq.backend)) {
        set bereq.backend = any.backend();
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
