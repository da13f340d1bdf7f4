# What clients see of all this.

import std;

sub answers_deliver {
    # Varnish compares with one tag; a client may name several, one of which is enough (304).
    if (req.http.If-None-Match && resp.http.ETag && std.strstr(req.http.If-None-Match, resp.http.ETag)) {
        set req.http.If-None-Match = resp.http.ETag;
    }
    # For the parts only.
    unset resp.http.Xkey;
    unset resp.http.X-Varnish;
    unset resp.http.Via;
    if (obj.hits == 0) {
        set resp.http.X-Cache = "MISS";
    } else {
        if (obj.ttl <= 0s) {
            set resp.http.X-Cache = "STALE";
        } else {
            set resp.http.X-Cache = "HIT";
        }
        # An object carries the id of the request that made it, and how it was made, which is old news.
        set resp.http.X-Request-ID = req.http.X-Request-ID;
        unset resp.http.Server-Timing;
        unset resp.http.Cache-Status;
    }
    # Varnish's own.
    if (!resp.http.X-Request-ID) {
        set resp.http.X-Request-ID = req.http.X-Request-ID;
    }
    call node_deliver;
}
