# What is measured against each other, each with a configuration of its own in $work. Sourced by peers.sh.
#
# `run NAME` starts one on the server's core with one worker and gives it a port.

declare -A label=(
  [constant]="bare hyper, constant answer"
  [map]="hyper and a look-up in a map"
  [get]="hyper and one GET from Redis"
  [get_by_two]="hyper and one GET, two connections to Redis"
  [proxy]="hyper as plain proxy"
  [sidecache_memory]="**sidecache**, \`memory:\`"
  [sidecache_local_ttl]="**sidecache**, Redis with \`local_ttl\`"
  [sidecache_caller_memory]="**sidecache**, \`memory:\`, its caller's"
  [sidecache_caller_redis]="**sidecache**, Redis, its caller's"
  [sidecache_local]="**sidecache**, body local, versions asked"
  [sidecache_redis]="**sidecache**, Redis"
  [sidecache_10_rules]="**sidecache**, 10 rules"
  [sidecache_1000_rules]="**sidecache**, 1,000 rules"
  [nginx_cache]="nginx proxy_cache"
  [nginx_srcache]="nginx srcache, Lua, Redis"
  [nginx_proxy]="nginx as plain proxy"
  [haproxy_cache]="HAProxy cache"
  [haproxy_proxy]="HAProxy as plain proxy"
  [varnish]="Varnish"
)

# installed NAME…: prints those that can be run here.
installed() {
  local name needs
  for name in "$@"; do
    case $name in
      nginx_srcache) needs=/usr/lib/nginx/modules/ngx_http_srcache_filter_module.so ;;
      nginx_*) needs=/usr/sbin/nginx ;;
      haproxy_*) needs=/usr/sbin/haproxy ;;
      varnish) needs=/usr/sbin/varnishd ;;
      *) needs=$SIDECACHE_BIN ;;
    esac
    if [ -e "$needs" ]; then echo "$name"; else say "$name is left out: there is no $needs"; fi
  done
}

run() {
  say "starting $1"
  port[$1]=$(free_port)
  "run_$1" "$1"
}

run_constant() { reference constant; }
run_map() { reference map; }
run_get() { reference get "${port[redis]}"; }
run_get_by_two() {
  start "$1" "$server_core" "$REFERENCE_BIN" get "${port[$1]}" "${port[redis]}" --connections 2
}
run_proxy() { reference proxy "${port[origin]}"; }
reference() { start "$1" "$server_core" "$REFERENCE_BIN" "$1" "${port[$1]}" "${@:2}"; }

run_sidecache_memory() { sidecache_rules "$1" memory: 64MiB 0s && sidecache "$1"; }
run_sidecache_local_ttl() { sidecache_rules "$1" "$(redis_url)" 64MiB 60s && sidecache "$1"; }
run_sidecache_local() { sidecache_rules "$1" "$(redis_url)" 64MiB 0s && sidecache "$1"; }
run_sidecache_redis() { sidecache_rules "$1" "$(redis_url)" 0B 0s && sidecache "$1"; }
run_sidecache_caller_memory() { caller_rules "$1" memory: 64MiB && sidecache "$1"; }
run_sidecache_caller_redis() { caller_rules "$1" "$(redis_url)" 0B && sidecache "$1"; }
run_sidecache_large() { # with a rule for answers that are longer than what is kept
  sidecache_rules "$1" "$(redis_url)" 64MiB 0s
  cached large 0s >>"$work/$1.toml"
  sidecache "$1"
}
run_sidecache_streams() { # before the origin that streams.mjs is
  sidecache_rules "$1" memory: 64MiB 0s
  sed -i "s|^origin = .*|origin = \"$(url streams "")\"|" "$work/$1.toml"
  sidecache "$1"
}
run_sidecache_other() { # of one fleet with sidecache_redis
  sidecache_rules "$1" "$(redis_url)" 0B 0s
  sed -i 's/^namespace = .*/namespace = "sidecache_redis"/' "$work/$1.toml"
  sidecache "$1"
}
run_sidecache_10_rules() { with_rules "$1" 10; }
run_sidecache_1000_rules() { with_rules "$1" 1000; }
with_rules() {
  local n
  sidecache_rules "$1" memory: 64MiB 0s
  for n in $(seq $(($2 - RULES))); do cached "thing$n" 0s; done >>"$work/$1.toml"
  sidecache "$1"
}
redis_url() { echo "redis://127.0.0.1:${port[redis]}"; }

# caller_rules NAME STORE LOCAL_MAX: what is below /item/ is each caller's own, told by a claim of his token.
caller_rules() {
  sidecache_rules "$1" "$2" "$3" 0s "slow varied"
  cat >>"$work/$1.toml" <<TOML
[identity]
token = "header:authorization"
scheme = "bearer"
verify = { algorithm = "HS256", secret = "$secret" }
[[cache]]
name = "item"
match = "GET /item/{id}"
key = "item:{claims.email}:{id}"
query = []
ttl = "1h"
TOML
}

secret="a secret of more than sixteen characters"

# A caller's token.
token() {
  local signed
  signed=$(base64url <<<'{"alg":"HS256","typ":"JWT"}').$(base64url <<<'{"email":"ada.byron@clinic.example","exp":4294967295}')
  echo "$signed.$(printf %s "$signed" | openssl dgst -sha256 -hmac "$secret" -binary | base64url)"
}
base64url() { base64 -w 0 | tr '+/' '-_' | tr -d =; }

# sidecache NAME [CORE]: with the rules in $work/NAME.toml.
sidecache() {
  start "$1" "${2:-$server_core}" env SIDECACHE_LOG=warn "$SIDECACHE_BIN" --rules "$work/$1.toml"
}

# sidecache_rules NAME STORE LOCAL_MAX LOCAL_TTL [RULES]: everything else is the default, but for more patience with
# Redis, so that a busy machine is not taken for an outage.
sidecache_rules() {
  port[$1.admin]=$(free_port)
  cat >"$work/$1.toml" <<TOML
namespace = "$1"
[proxy]
listen = "127.0.0.1:${port[$1]}"
origin = "http://127.0.0.1:${port[origin]}"
[admin]
listen = "127.0.0.1:${port[$1.admin]}"
[local]
max = "$3"
[store]
url = "$2"
timeout = "5s"
$(for name in ${5:-item slow varied}; do cached "$name" "$4"; done)
[[cache]]
name = "sized"
match = "GET /sized/{bytes}/{id}"
key = "sized:{bytes}:{id}"
query = []
ttl = "1h"
public = true
[[invalidate]]
name = "items-changed"
on   = ["POST /items"]
drop = ["item:*"]
TOML
}
RULES=4 # of them

# cached NAME LOCAL_TTL: a rule for what is below /NAME/.
cached() {
  printf '[[cache]]\nname = "%s"\nmatch = "GET /%s/{id}"\nkey = "%s:{id}"\nquery = []\n' "$1" "$1" "$1"
  printf 'ttl = "1h"\nlocal_ttl = "%s"\npublic = true\n' "$2"
}

run_nginx_cache() {
  nginx "$1" "
    proxy_cache_path $work/$1 levels=1:2 keys_zone=kept:16m max_size=256m inactive=1h use_temp_path=off;
    open_file_cache max=10000 inactive=1h;
    open_file_cache_valid 1h;" "
    location / {
      proxy_cache kept;
      add_header X-Cache \$upstream_cache_status;
      proxy_pass http://origin;
    }"
}

run_nginx_proxy() {
  nginx "$1" "" "
    location / { proxy_pass http://origin; }"
}

# Entries by GET and SETEX over kept connections, as the module's documentation does it.
run_nginx_srcache() {
  nginx "$1" "
    lua_package_path '/usr/share/lua/5.1/?.lua;;';
    init_by_lua_block {
      redis = require 'nginx.redis'
      function connected()
        local one = redis:new()
        one:set_timeout(1000)
        assert(one:connect('127.0.0.1', ${port[redis]}))
        return one
      end
    }" "
    location / {
      set \$key srcache:\$request_uri;
      srcache_fetch GET /fetch \$key;
      srcache_store PUT /store \$key;
      add_header X-Cache \$srcache_fetch_status;
      proxy_pass http://origin;
    }
    location = /fetch {
      internal;
      content_by_lua_block {
        local one = connected()
        local kept = one:get(ngx.var.args)
        one:set_keepalive(60000, 100)
        if kept == ngx.null then return ngx.exit(404) end
        ngx.print(kept)
      }
    }
    location = /store {
      internal;
      content_by_lua_block {
        local one = connected()
        ngx.req.read_body()
        one:setex(ngx.var.args, 3600, ngx.req.get_body_data())
        one:set_keepalive(60000, 100)
      }
    }"
}

# nginx NAME HTTP SERVER: what stands in these blocks beside the usual.
nginx() {
  local modules=/usr/lib/nginx/modules module load=
  if [ "$1" = nginx_srcache ]; then
    for module in ndk_http ngx_http_lua ngx_http_srcache_filter; do
      load+="load_module $modules/${module}_module.so; "
    done
  fi
  mkdir -p "$work/$1"
  cat >"$work/$1.conf" <<NGINX
$load
user $(id -un) $(id -gn);
daemon off;
worker_processes 1;
pid $work/$1.pid;
error_log $work/$1.error.log;
events { worker_connections 1024; }
http {
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 100000000;
  client_body_temp_path $work/$1.body;
  proxy_temp_path $work/$1.proxy;
  fastcgi_temp_path $work/$1.fastcgi;
  uwsgi_temp_path $work/$1.uwsgi;
  scgi_temp_path $work/$1.scgi;
  client_max_body_size 0;
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  upstream origin {
    server 127.0.0.1:${port[origin]};
    keepalive 64;
    keepalive_requests 100000000;
  }
  $2
  server {
    listen 127.0.0.1:${port[$1]};
    $3
  }
}
NGINX
  start "$1" "$server_core" /usr/sbin/nginx -e "$work/$1.error.log" -c "$work/$1.conf"
}

run_haproxy_cache() { haproxy "$1" "http-request cache-use kept" "http-response cache-store kept"; }
run_haproxy_proxy() { haproxy "$1"; }

# haproxy NAME [DIRECTIVE…]: what the backend says beside the usual.
haproxy() {
  {
    cat <<HAPROXY
global
  nbthread 1
defaults
  mode http
  timeout connect 2s
  timeout client 60s
  timeout server 60s
cache kept
  total-max-size 64
  max-object-size 100000
  max-age 3600
frontend clients
  bind 127.0.0.1:${port[$1]}
  default_backend origin
backend origin
  http-reuse always
  server origin 127.0.0.1:${port[origin]}
HAPROXY
    printf '  %s\n' "${@:2}"
  } >"$work/$1.cfg"
  start "$1" "$server_core" /usr/sbin/haproxy -q -f "$work/$1.cfg"
}

# Defaults but for one pool of few threads: on one core more of them only wait.
run_varnish() {
  start "$1" "$server_core" /usr/sbin/varnishd -F -j none -n "$work/$1" -a "127.0.0.1:${port[$1]}" \
    -b "127.0.0.1:${port[origin]}" -s malloc,64m -p thread_pools=1 -p thread_pool_min=10 -p thread_pool_max=50
}

# What an answer's head must say, so that one knows that the candidate did what its row is about.
proof() {
  case $1:$2 in
    sidecache*:hit) echo '^cache-status: sidecache; hit' ;;
    sidecache*:pass) echo '^cache-status: sidecache; fwd=bypass' ;;
    sidecache*:miss) echo '^cache-status: sidecache; fwd=miss' ;;
    nginx_cache:hit | nginx_srcache:hit) echo '^x-cache: hit' ;;
    nginx_cache:miss | nginx_srcache:miss) echo '^x-cache: miss' ;;
    haproxy_cache:hit) echo '^age: ' ;;
    varnish:hit) echo '^x-varnish: [0-9]* [0-9]' ;;
    *) echo '^HTTP/1.1 200' ;; # the origin's counter must do
  esac
}
