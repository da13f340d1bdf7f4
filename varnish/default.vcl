vcl 4.1;

# Only includes and calls: one concern a file, in the order in which they matter. What is found in a file's `sub`s is
# its own business; nothing below knows more of it than its name.
#
#   nodes.vcl       where nginx answers, and whether this node is leaving; written by start.py
#   origin.vcl      how a request reaches nginx, and what happens when it does not
#   node.vcl        this node's own health
#   purge.vcl       an image goes, with every variant
#   refusals.vcl    what is not for this API
#   client.vcl      who asks, and under which request id
#   urls.vcl        one spelling for what is the same
#   accept.vcl      at most four values of Accept
#   routes.vcl      what is looked up here, and what goes past
#   storing.vcl     what is kept, and for how long
#   answers.vcl     what clients see of all this
#   problems.vcl    this part's own errors

include "nodes.vcl";
include "origin.vcl";
include "node.vcl";
include "purge.vcl";
include "refusals.vcl";
include "client.vcl";
include "urls.vcl";
include "accept.vcl";
include "routes.vcl";
include "storing.vcl";
include "answers.vcl";
include "problems.vcl";

sub vcl_recv {
    call client_recv;
    call purge_recv;
    call refusals_recv;
    call node_recv;
    call urls_recv;
    call accept_recv;
    call routes_recv;
}

sub vcl_hit {
    # What is old is served, and asked after behind it.
    if (obj.ttl <= 0s) {
        call client_forward;
        call origin_forward;
    }
}

sub vcl_miss {
    call client_forward;
    call origin_forward;
}

sub vcl_pass {
    call client_forward;
    call origin_forward;
}

sub vcl_hash {
    call urls_hash;
}

sub vcl_backend_fetch {
    call origin_fetch;
}

sub vcl_backend_response {
    call storing_response;
}

sub vcl_backend_error {
    call origin_error;
    call problems_backend_error;
}

sub vcl_deliver {
    call answers_deliver;
}

sub vcl_synth {
    call problems_synth;
}
