# Which requests are looked up in the cache, and which bypass it.

sub routes_recv {
    if (req.method != "GET" && req.method != "HEAD") {
        call access_throttle;
        call bodies_recv;
        return (pass);
    }
    call bodies_recv;
    call nodes_routes;
    # Lists and /info change with every upload and deletion, and health and what administrators see at any
    # time.
    if (req.url ~ "^/v1/(?:images(?:\?|$|/healthcheck|/[^/?]*/(?:info|similar|variants|plan))|transform/healthcheck|keys|uploads|sign|spaces|audit|usage|me|deletions|names|webhooks)") {
        call access_throttle;
        return (pass);
    }
    call routes_picture;
}

sub routes_picture {
    # `*` matches any version. The services can answer it with 304 and without a render, but Varnish
    # only compares tags.
    if (req.http.If-None-Match == "*") {
        call access_throttle;
        return (pass);
    }
    call access_route;
    return (hash);
}
