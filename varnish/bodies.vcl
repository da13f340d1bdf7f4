# Requests with a body. nginx gets them as a stream, so that the client has its answer as soon as
# nginx or a service gives it: before the body (413, 429, 405, Expect), or while it has come to a halt
# (408). In a pass, Varnish would look for an answer only when it has sent the whole body. See
# docs/adr/0056-bodies.md.

import std;

# Comes first: without it, Varnish would send a 100 even if it refuses the request itself.
sub bodies_expected {
    std.late_100_continue(true);
}

sub bodies_recv {
    if ((!req.http.Content-Length || req.http.Content-Length == "0") && !req.http.Transfer-Encoding) {
        return;
    }
    call client_forward;
    set req.backend_hint = nginx.backend();
    if (std.healthy(req.backend_hint)) {
        return (pipe);
    }
    # A stream to a node that does not answer would just end. A pass also tries nodes whose probes
    # still fail (origin.vcl), and explains it if none of them answers.
    return (pass);
}

sub bodies_pipe {
    # One request per connection: nginx closes it after the response, so nobody can send a second
    # request that this code has not seen.
    set bereq.http.Connection = "close";
}

# Without this, Varnish would read the whole body before it answers.
sub bodies_synth {
    if (req.http.Content-Length || req.http.Transfer-Encoding) {
        set resp.http.Connection = "close";
    }
}
