vcl 4.1;
# The edge's peer, second half: a coalescing cache with the same lifetimes as ours.
backend origin {
  .host = "127.0.0.1"; .port = "{origin_port}";
  .connect_timeout = 1s; .first_byte_timeout = 10s; .between_bytes_timeout = 5s;
}
sub vcl_recv {
  unset req.http.Cookie; unset req.http.Accept-Encoding;
  unset req.http.Cache-Control; unset req.http.Pragma;
  return (hash);
}
sub vcl_hash { hash_data(req.url); return (lookup); }
sub vcl_backend_response {
  unset beresp.http.Set-Cookie; unset beresp.http.Vary;
  set beresp.uncacheable = false;
  set beresp.grace = 0s; set beresp.keep = 0s;
  if (beresp.status != 200) { set beresp.ttl = 0.25s; }
  else if (bereq.url !~ "\.m3u8(\?|$)") { set beresp.ttl = 60s; set beresp.grace = 60s; }
  else if (bereq.url ~ "_HLS_msn=") { set beresp.ttl = 1s; set beresp.do_stream = false; }
  else { set beresp.ttl = 0.15s; set beresp.do_stream = false; }
  return (deliver);
}
