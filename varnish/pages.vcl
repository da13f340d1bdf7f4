# What people open in a browser (pages/routes.py). It is not cached here: each request is a 304, or
# rare.

sub pages_recv {
    unset req.http.X-Page;
    if (req.url ~ "^/(?:(?:console|docs|vendored)[/?]|(?:console|docs)$|[a-z.]+\.(?:json|svg)|\?|$)" && (req.method == "GET" || req.method == "HEAD")) {
        # Keeps its Accept-Encoding (client.vcl), and its Accept.
        set req.http.X-Page = "1";
        call bodies_recv;
        call nodes_routes;
        return (pass);
    }
}
