# Which responses are cached, and for how long.

import std;

sub storing_response {
    # A failed refresh must not replace a good object. The object stays, and the next request tries
    # again. The same holds for a 429, which is about the client and not about the image.
    if (bereq.is_bgfetch && beresp.status != 200 && beresp.status != 404 && beresp.status != 410) {
        return (abandon);
    }
    # The services say here how long this cache may keep an image by ID. Cache-Control is for browsers
    # and CDNs, and an operator may set it to anything.
    if (beresp.http.Surrogate-Control ~ "^max-age=[0-9]+$") {
        set beresp.ttl = std.duration(regsub(beresp.http.Surrogate-Control, "^max-age=", "") + "s", 0s);
    } else {
        unset beresp.http.Surrogate-Control;
    }
    if ((beresp.status != 200 && beresp.status != 404 && beresp.status != 410)
        || (beresp.http.Cache-Control ~ "no-store" && !beresp.http.Surrogate-Control)) {
        # Not cached. For one second, other requests for the same URL go to nginx at once, instead
        # of waiting for a response that they cannot share.
        set beresp.ttl = 1s;
        set beresp.grace = 0s;
        set beresp.uncacheable = true;
        return (deliver);
    }
    if (beresp.status != 200) {
        # For the 10 s that the services set, and not longer. Grace would hide a new image.
        if (beresp.ttl > 10s) {
            set beresp.ttl = 10s;
        }
        set beresp.grace = 0s;
        set beresp.keep = 0s;
        return (deliver);
    }
    # Large responses are streamed, not cached. A hundred would evict ten thousand thumbnails.
    if (std.integer(beresp.http.Content-Length, 0) > 4194304) {
        set beresp.ttl = 1h;
        set beresp.uncacheable = true;
        return (deliver);
    }
    if (beresp.ttl > 1h) {
        # Clients may cache it for a year, because it never changes. Varnish revalidates it every
        # hour, with a 304 as the usual answer. Should a purge ever miss this node, this limits how
        # long a deleted image stays visible.
        set beresp.ttl = 1h;
        # Meanwhile, and while nginx does not answer, Varnish serves the stale object.
        set beresp.grace = 24h;
        # After that, the body can still be revalidated with a 304.
        set beresp.keep = 24h;
    }
    # An image that expires is not served for longer, even if nobody answers then.
    if (beresp.http.Until) {
        set beresp.grace = 0s;
        set beresp.keep = 0s;
    }
    return (deliver);
}
