# What clients see in responses.

import std;

# For `records`, which may not see every line: how many hits the object has had, and how old it is. Comes
# before access_deliver, which removes Viewers: private pictures are looked up twice (access.vcl).
sub answers_count {
    if (obj.hits > 0 && resp.http.Usage && !resp.http.Viewers) {
        std.log("hits:" + obj.hits + " " + obj.age);
    }
}

sub answers_deliver {
    # Varnish compares with a single tag, but a client may send several. If one of them matches, the
    # response is a 304.
    if (req.http.If-None-Match && resp.http.ETag && std.strstr(req.http.If-None-Match, resp.http.ETag)) {
        set req.http.If-None-Match = resp.http.ETag;
    }
    # Internal headers. X-Varnish stays, because it identifies the request in varnishlog.
    unset resp.http.Xkey;
    if (resp.http.Surrogate-Control) {
        unset resp.http.Surrogate-Control;
        # The time in this cache does not count for others: a browser would take a response with
        # `max-age=60` that was here for an hour as stale. It does count for an image that expires.
        if (!resp.http.Until) {
            unset resp.http.Age;
        }
    }
    unset resp.http.Until;
    unset resp.http.Via;
    if (obj.hits == 0) {
        set resp.http.X-Cache = "MISS";
        # A response that Varnish made itself has none.
        if (!resp.http.X-Request-ID) {
            set resp.http.X-Request-ID = req.http.X-Request-ID;
        }
    } else {
        if (obj.ttl > 0s) {
            set resp.http.X-Cache = "HIT";
        } else {
            set resp.http.X-Cache = "STALE";
        }
        # The object has the ID and the timings of the request that filled the cache.
        set resp.http.X-Request-ID = req.http.X-Request-ID;
        unset resp.http.Server-Timing;
        unset resp.http.Cache-Status;
    }
    # It stays in the log.
    unset resp.http.Usage;
    call node_deliver;
}
