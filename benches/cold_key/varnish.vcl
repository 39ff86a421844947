# By default, requests for an object that is being fetched wait for it.
vcl 4.1;

backend provider {
    .host = "127.0.0.1";
    .port = "@UPSTREAM_PORT@";
}

sub vcl_backend_fetch {
    set bereq.http.Authorization = "Bearer @TOKEN@";
}

sub vcl_backend_response {
    set beresp.ttl = 60s;
}
