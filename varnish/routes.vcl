# Which requests are looked up in the cache, and which bypass it.

sub routes_recv {
    call bodies_recv;
    call nodes_routes;
    if (req.method != "GET" && req.method != "HEAD") {
        return (pass);
    }
    # Lists and /info change with every upload and deletion, and health at any time.
    if (req.url ~ "^/v1/(?:images(?:\?|$|/healthcheck|/[^/?]*/info)|transform/healthcheck)") {
        return (pass);
    }
    # `*` matches any version. The services can answer it with 304 and without a render, but Varnish
    # only compares tags.
    if (req.http.If-None-Match == "*") {
        return (pass);
    }
    # No response depends on it. If it stayed, Varnish's built-in code would bypass the cache.
    unset req.http.Authorization;
    return (hash);
}
