vcl 4.1;

# Includes and calls only, in the order that matters. Each file has one concern, and exposes nothing
# but its `sub`s.
#
#   nodes.vcl       the addresses of nginx, and whether this node is leaving; written by `nodes`
#   origin.vcl      how a request reaches nginx, and what happens if it does not
#   node.vcl        this node's health check
#   purge.vcl       removes an image with all its variants
#   refusals.vcl    refuses requests that are not for this API
#   client.vcl      the client's address and the request ID
#   access.vcl      who may see what is in the cache
#   urls.vcl        one spelling for each URL
#   pages.vcl       what people open in a browser
#   accept.vcl      at most four values of Accept
#   conditions.vcl  ranges and conditions
#   bodies.vcl      requests with a body
#   names.vcl       which image a name shows
#   routes.vcl      which requests are looked up in the cache, and which bypass it
#   storing.vcl     which responses are cached, and for how long
#   answers.vcl     what clients see in responses
#   problems.vcl    Varnish's own errors

include "nodes.vcl";
include "origin.vcl";
include "node.vcl";
include "purge.vcl";
include "refusals.vcl";
include "client.vcl";
include "access.vcl";
include "urls.vcl";
include "pages.vcl";
include "accept.vcl";
include "conditions.vcl";
include "bodies.vcl";
include "routes.vcl";
include "names.vcl";
include "storing.vcl";
include "answers.vcl";
include "problems.vcl";

sub vcl_recv {
    call names_resume;
    call access_resume;
    call bodies_expected;
    call client_recv;
    call purge_recv;
    call refusals_recv;
    call node_recv;
    call nodes_prefix;
    call access_recv;
    call urls_recv;
    call pages_recv;
    call accept_recv;
    call conditions_recv;
    call names_recv;
    call routes_recv;
}

sub vcl_hit {
    call access_hit;
    # A stale object is served, and refreshed in the background.
    if (obj.ttl <= 0s) {
        call client_forward;
        call access_forward;
        call origin_forward;
    }
}

sub vcl_pipe {
    call bodies_pipe;
}

sub vcl_miss {
    call access_miss;
    call conditions_miss;
    call client_forward;
    call access_forward;
    call origin_forward;
}

sub vcl_pass {
    call client_forward;
    call access_forward;
    call origin_forward;
}

sub vcl_hash {
    call access_hash;
    call urls_hash;
}

sub vcl_backend_fetch {
    call access_fetch;
    call names_fetch;
    call origin_fetch;
}

sub vcl_backend_response {
    call names_response;
    call access_response;
    call storing_response;
}

sub vcl_backend_error {
    call origin_error;
    call problems_backend_error;
}

sub vcl_deliver {
    call names_shown;
    call access_granted;
    call conditions_deliver;
    call answers_count;
    call access_deliver;
    call names_deliver;
    call answers_deliver;
}

sub vcl_synth {
    call names_synth;
    call bodies_synth;
    call problems_synth;
}
